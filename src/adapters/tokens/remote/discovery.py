"""Discovery of an issuer's keys (OpenID Connect Discovery 1.0, RFC 8414)."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from ordergate.adapters.tokens.remote.fetching import FetchError, MissingDocument

_OPENID = "/.well-known/openid-configuration"
_OAUTH = "/.well-known/oauth-authorization-server"

_MAX_QUOTED_LENGTH = 255

Fetch = Callable[[str], Awaitable[dict[str, object]]]


def metadata_urls(issuer: str) -> list[str]:
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

    The metadata must name the issuer to the letter (RFC 8414, section 3.3).
    """
    failures = []
    for url in metadata_urls(issuer):
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
        return jwks_uri
    raise FetchError("; ".join(failures))
