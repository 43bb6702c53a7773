"""The addresses that keys of another issuer may be fetched from."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# An address with a larger number would be looked up as a name.
_LOOPBACK = re.compile(rf"localhost|127(\.{_BYTE}){{3}}|::1")
_HOST = r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])"
_URL = re.compile(rf"[Hh][Tt][Tt][Pp][Ss]?://{_HOST}(:[0-9]{{1,5}})?([/?][!$-~]{{0,1024}})?")
_FORM = "must be a host, an optional port and a path, as in https://id.example/jwks"
_CHARACTERS = "must have printable ASCII characters, no spaces"
_PLAIN_HTTP = "is http, which anyone on the way can change; use https"


def find_address_error(url: str, plain_http_hosts: Collection[str] = ()) -> str | None:
    """Name the rule that a URL breaks, or return `None`.

    Keys decide which tokens are valid, so they come by `https`, by `http` on this computer, or by
    `http` from a host in `plain_http_hosts`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # the port is too large, or what is in brackets no address
        return _FORM
    rules = (
        (parts.scheme in {"https", "http"}, "must begin with https:// or http://"),
        (url.isascii() and url.isprintable() and " " not in url, _CHARACTERS),
        ("@" not in parts.netloc, "must have no user name and no password"),
        ("#" not in url, "must have no fragment (#)"),
        (host and port != 0 and _URL.fullmatch(url), _FORM),
        (parts.scheme == "https" or is_plain_http_allowed(host, plain_http_hosts), _PLAIN_HTTP),
    )
    return next((message for holds, message in rules if not holds), None)


def is_plain_http_allowed(host: str, plain_http_hosts: Collection[str]) -> bool:
    """Return whether documents may come from a host without TLS."""
    return host in plain_http_hosts or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Return whether a host in lower case is this computer."""
    return _LOOPBACK.fullmatch(host) is not None
