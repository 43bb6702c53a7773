"""URLs of PostgreSQL databases and their hosts."""

import re
from contextlib import suppress
from ipaddress import IPv6Address
from urllib.parse import parse_qs

# A URL of several hosts is not one of RFC 3986. Since the fix of CVE-2025-0938, urllib refuses it
# where a name stands before an IPv6 address.
_URL = re.compile(
    r"postgresql://(?P<account>[^:@/?#]+(?::[^:@/?#]*)?@)?(?P<hosts>[^@/?#]+)"
    r"(?P<database>/[^/?#]+)(?P<query>\?[^#]*)?"
)
_HOST = re.compile(
    r"(?:[A-Za-z0-9._-]+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|%2[Ff][A-Za-z0-9._%-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_LAST_PORT = 65_535
_DEFAULT_PORT = 5432
_PARAMETERS = {
    "target_session_attrs": {"any", "primary", "read-write"},
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "sslrootcert": None,
    "sslcert": None,
    "sslkey": None,
    "passfile": None,
}
_FORM = "must look like postgresql://name:password@host/database, with other characters as %40"


def url_error(url: str) -> str | None:
    """Describe the mistake in a database URL without quoting the URL."""
    parts = _URL.fullmatch(url)
    if parts is None or not url.isprintable() or not all(map(_is_host, _hosts(parts))):
        return _FORM
    query = (parts["query"] or "").removeprefix("?")
    try:
        parameters = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        return _FORM
    for name, values in parameters.items():
        if name not in _PARAMETERS:
            return f"may have no parameters but {', '.join(_PARAMETERS)}"
        allowed = _PARAMETERS[name]
        if len(values) > 1 or not values[0] or (allowed and values[0] not in allowed):
            return f"{name} must be one of {', '.join(sorted(allowed))}" if allowed else _FORM
    return None


def split_hosts(url: str) -> list[str]:
    """Return a URL for each host of a valid URL."""
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError(_FORM)
    account, rest = parts["account"] or "", parts["database"] + (parts["query"] or "")
    return [f"postgresql://{account}{host}{rest}" for host in _hosts(parts)]


def address_in(url: str) -> str:
    """Return hosts, ports and database of a valid URL, without secrets."""
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError(_FORM)
    hosts = (
        host if match and match["port"] else f"{host}:{_DEFAULT_PORT}"
        for host in _hosts(parts)
        for match in [_HOST.fullmatch(host)]
    )
    return ",".join(hosts) + parts["database"]


def _hosts(url: re.Match[str]) -> list[str]:
    return url["hosts"].split(",")


def _is_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None or (match["port"] and not 0 < int(match["port"]) <= _LAST_PORT):
        return False
    if match["ipv6"]:
        with suppress(ValueError):
            return bool(IPv6Address(match["ipv6"]))
        return False
    return True
