"""Discovery of an issuer's keys (OpenID Connect Discovery 1.0, RFC 8414)."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from ordergate.adapters.tokens.remote.fetching import FetchError, MissingDocument
from ordergate.application.issuer_address import is_loopback

_OPENID = "/.well-known/openid-configuration"
_OAUTH = "/.well-known/oauth-authorization-server"

_MAX_QUOTED_LENGTH = 255

Fetch = Callable[[str], Awaitable[dict[str, object]]]


def list_metadata_urls(issuer: str) -> list[str]:
    """Return where the metadata of an issuer may be.

    OpenID Connect appends its path to the issuer (section 4), RFC 8414 inserts its own after the
    host (section 3.1).
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = issuer[: len(issuer) - len(parts.path)] if parts.path else issuer
    urls = [f"{origin}{path}{_OPENID}", f"{origin}{_OAUTH}{path}", f"{origin}{_OPENID}{path}"]
    return list(dict.fromkeys(urls))


async def discover_jwks_uri(issuer: str, fetch: Fetch) -> str:
    """Return the `jwks_uri` of an issuer's metadata. Raises `FetchError`.

    The metadata must name the issuer to the letter (RFC 8414, section 3.3). By https, it may not
    lead to keys of this computer without TLS.
    """
    failures = []
    for url in list_metadata_urls(issuer):
        try:
            metadata = await fetch(url)
        except MissingDocument as error:
            failures.append(f"{url}: {error}")
            continue
        if metadata.get("issuer") != issuer:
            named = str(metadata.get("issuer"))[:_MAX_QUOTED_LENGTH]
            raise FetchError(f"{url}: the metadata is of the issuer {named!r}; compare ISSUER")
        jwks_uri = metadata.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise FetchError(f"{url}: the metadata has no jwks_uri")
        if urlsplit(url).scheme == "https" and _is_http_on_this_computer(jwks_uri):
            raise FetchError(
                f"{url}: the jwks_uri is http on this computer, although the metadata came by"
                " https; if that is right, name it in JWKS_URL"
            )
        return jwks_uri
    raise FetchError("; ".join(failures))


def _is_http_on_this_computer(url: str) -> bool:
    """Another program may listen there, which the issuer does not know."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and is_loopback(parts.hostname or "")
    except ValueError:
        return False  # the fetch names the error
