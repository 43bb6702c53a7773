"""The proxies in front of this service."""

from collections.abc import Sequence
from ipaddress import ip_network
from urllib.parse import urlsplit

from ordergate.application.issuer_address import is_loopback
from ordergate.entrypoints.config.setting_values import UNIX
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import Finding, report_ok, report_warning

CHECK = "proxies"

_WIDE = {4: 8, 6: 16}
"""The prefix of the widest networks without a warning, by the version of IP."""


async def check_proxies(container: Container) -> Sequence[Finding]:
    """Compare the trusted proxies with the public URL of the service."""
    settings = container.settings()
    trusted = settings.trusted_proxies
    if wide := [name for name in trusted if _is_wide(name)]:
        return [
            report_warning(
                CHECK,
                f"every host in {', '.join(wide)} can claim any client address",
                "name the addresses of the proxies alone in ORDERGATE_TRUSTED_PROXIES",
            )
        ]
    if settings.listen_uds is not None and UNIX not in trusted:
        return [
            report_warning(
                CHECK,
                "clients of the Unix socket have no address, and the proxy on it is not trusted:"
                " all clients count as one address",
                f"add {UNIX} to ORDERGATE_TRUSTED_PROXIES",
            )
        ]
    if trusted:
        return [report_ok(CHECK, f"{', '.join(trusted)} may name the client's address")]
    url = urlsplit(settings.resource or "")
    is_public = url.scheme == "https" and not is_loopback((url.hostname or "").lower())
    if is_public and settings.tls_certificate_file is None:
        return [
            report_warning(
                CHECK,
                "the public URL is https, which a proxy answers, and no proxy is trusted: all"
                " clients count as one address",
                "name the proxy's address in ORDERGATE_TRUSTED_PROXIES",
            )
        ]
    return [report_ok(CHECK, "none is trusted, and X-Forwarded-For is ignored")]


def _is_wide(name: str) -> bool:
    if name == UNIX:
        return False
    network = ip_network(name)
    return network.prefixlen < _WIDE[network.version]
