"""URLs of PostgreSQL databases: what may stand in one, and the hosts that it names."""

import re
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|%2[Ff][A-Za-z0-9._%-]+)(:[0-9]{1,5})?")
_ACCOUNT = re.compile(r"[^:@]+(:[^:@]*)?")
_PARAMETERS = {
    "target_session_attrs": {"any", "primary", "read-write"},
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "sslrootcert": None,
    "sslcert": None,
    "sslkey": None,
    "passfile": None,
}
_FORM = "must look like postgresql://name:password@host/database, with other characters as %40"


def flaw_in(url: str) -> str | None:
    """Say what is wrong with the URL of a database, without repeating any of it."""
    with suppress(ValueError):  # of a bracket, port or query; its text may be part of a password
        parts = urlsplit(url)
        account, _, hosts = parts.netloc.rpartition("@")
        if not (
            url.startswith("postgresql://")
            and url.isprintable()
            and "#" not in url
            and re.fullmatch("/[^/]+", parts.path)
            and (not account or _ACCOUNT.fullmatch(account))
            and all(_is_host(host) for host in hosts.split(","))
        ):
            return _FORM
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        for name, values in query.items():
            if name not in _PARAMETERS:
                return f"may have no parameters but {', '.join(_PARAMETERS)}"
            allowed = _PARAMETERS[name]
            if len(values) > 1 or not values[0] or (allowed and values[0] not in allowed):
                return f"{name} must be one of {', '.join(sorted(allowed))}" if allowed else _FORM
        return None
    return _FORM


def _is_host(host: str) -> bool:
    return bool(_HOST.fullmatch(host)) and urlsplit(f"//{host}").port != 0


def each_host(url: str) -> list[str]:
    """Return a URL for each host that a URL without a flaw names."""
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{account}{at}{host}").geturl() for host in hosts.split(",")]
