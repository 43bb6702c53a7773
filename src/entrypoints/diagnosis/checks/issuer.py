"""The issuer of access tokens, and the keys of other issuers."""

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from ordergate.application.errors import IssuerKeysUnavailable
from ordergate.application.issuer_address import is_loopback
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import (
    Finding,
    report_failure,
    report_ok,
    report_warning,
    write_count,
    write_milliseconds,
)

CHECK = "issuer"


async def check_issuer(container: Container) -> Sequence[Finding]:
    """Check the own public URL, or fetch keys of other issuers."""
    settings = container.settings()
    container.known_scopes()  # raises an error for a scope that nothing declares
    if settings.issues_tokens:
        return [_judge_address(settings)]
    return await asyncio.gather(*(_fetch_keys(container, name) for name in container.remote_keys()))


def _judge_address(settings: Settings) -> Finding:
    parts = urlsplit(settings.issuer)
    found = f"tokens name {settings.issuer} as the URL of this service"
    advice = "set ORDERGATE_ISSUER to the public URL"
    if "issuer" not in settings.model_fields_set and _listens_elsewhere(settings, parts.port):
        return report_warning(CHECK, f"{found}, which does not listen there", advice)
    if is_loopback((parts.hostname or "").lower()):
        if is_loopback(settings.listen_host):
            return report_ok(CHECK, f"{found}, on this machine alone")
        return report_warning(CHECK, f"{found}, which other machines cannot reach", advice)
    if parts.scheme != "https":
        advice = "serve it by https, and set ORDERGATE_ISSUER to that URL"
        return report_warning(CHECK, f"{found}, where anyone on the way reads passwords", advice)
    return report_ok(CHECK, found)


def _listens_elsewhere(settings: Settings, port: int | None) -> bool:
    is_plain_port = settings.listen_uds is None and settings.tls_certificate_file is None
    return not is_plain_port or settings.listen_port != port


async def _fetch_keys(container: Container, issuer: str) -> Finding:
    remote = container.remote_keys()[issuer]
    began = time.perf_counter()
    try:
        fetched = await remote.keys(None)
    except IssuerKeysUnavailable as error:
        advice = "correct ORDERGATE_ISSUER or ORDERGATE_JWKS_URL, or open the network to it"
        return report_failure(CHECK, f"{issuer}: {error}", advice)
    finally:
        await remote.close()
    if not fetched.keys:
        return report_failure(CHECK, f"{issuer} publishes no usable key, so no token is accepted")
    seconds = time.perf_counter() - began
    keys = write_count(len(fetched.keys), "key")
    return report_ok(CHECK, f"{issuer} publishes {keys}, fetched in {write_milliseconds(seconds)}")
