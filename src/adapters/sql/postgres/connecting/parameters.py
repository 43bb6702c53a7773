"""The parameters of a PostgreSQL URL, as libpq names them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ordergate.adapters.sql.postgres.connecting.session_settings import OWN_SETTINGS
from ordergate.adapters.sql.server.connection import Keepalive
from ordergate.adapters.sql.server.url import describe_unsupported

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "channel_binding": ("disable", "prefer", "require"),
    "client_encoding": ("UTF8", "utf8", "auto"),
    "gssencmode": ("disable", "prefer"),
    "keepalives": ("0", "1"),
    "load_balance_hosts": ("disable", "random"),
    "sslcompression": ("0",),
    "ssl_max_protocol_version": ("TLSv1.2", "TLSv1.3"),
    "ssl_min_protocol_version": ("TLSv1.2", "TLSv1.3"),
    "sslmode": ("allow", "disable", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("direct", "postgres"),
    "sslsni": ("1",),
    "target_session_attrs": ("any", "primary", "read-write"),
}
"""The supported values of a parameter."""

_NUMBERS: Mapping[str, range] = {
    "connect_timeout": range(1, 61),
    "keepalives_count": range(1, 128),
    "keepalives_idle": range(1, 7_201),
    "keepalives_interval": range(1, 7_201),
    "tcp_user_timeout": range(1, 3_600_001),
}
"""Whole numbers of seconds, and of milliseconds for the last."""

_TEXTS = frozenset(
    {
        "application_name",
        "fallback_application_name",
        "options",
        "passfile",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslpassword",
        "sslrootcert",
    }
)
_PLACES = frozenset({"dbname", "host", "password", "port", "user"})
"""Parts of the address, which a URL may name as parameters."""

_OF_POOLERS = frozenset(
    {
        "connection_limit",
        "pgbouncer",
        "pool_mode",
        "pool_size",
        "pool_timeout",
        "prepared_statement_cache_size",
        "prepareThreshold",
        "statement_cache_size",
        "supa",
    }
)
"""Parameters for a pooler, or for the pool of another client. They change nothing here."""

_FOR_DRIVER = frozenset(
    {
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
    }
)
SYSTEM = "system"
"""The value of `sslrootcert` for the certificates that the system trusts."""

_VERIFIED = "verify-full"
_ENCRYPTED = ("require", "verify-ca", _VERIFIED)
_MAX_NAME_BYTES = 63
_DIGITS = re.compile("[0-9]{1,9}")
_WORD = re.compile(r"(?:\\.|[^\\\s])+", re.DOTALL)
_SETTING = re.compile(r"(?:-c|--)(?P<name>[A-Za-z][A-Za-z0-9_.-]*)=(?P<value>.*)", re.DOTALL)
_OF_PROXY = re.compile(r"[a-z][a-z_]*=[A-Za-z0-9_.-]+")
"""A word for the provider's proxy, such as `endpoint=ep-1` at Neon."""


class UrlError(ValueError):
    """A mistake in a URL, described without its values."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a URL, except parts of its address.

    `for_driver` are those that asyncpg reads from a URL. `options` are words of the command line of
    a server process. `connect_seconds` is the time limit of a host. `ignored` are names.
    """

    for_driver: Mapping[str, str] = field(repr=False)
    application_name: str
    options: str
    passfile: str | None
    connect_seconds: float | None
    keepalive: Keepalive
    is_balanced: bool
    ignored: tuple[str, ...]

    @property
    def trusts_system(self) -> bool:
        """Whether the certificates that the system trusts vouch for the server."""
        return self.for_driver.get("sslrootcert") == SYSTEM


def read_parameters(given: Mapping[str, str]) -> Parameters:
    """Read the parameters of a URL. Raises `UrlError`."""
    for name, value in given.items():
        _check(name, value)
    numbers = {name: int(given[name]) for name in _NUMBERS if name in given}
    ordinary = Keepalive()
    return Parameters(
        for_driver=_read_tls(given),
        application_name=given.get("application_name")
        or given.get("fallback_application_name")
        or "ordergate",
        options=_check_options(given.get("options", "")),
        passfile=given.get("passfile"),
        connect_seconds=numbers.get("connect_timeout"),
        keepalive=Keepalive(
            is_on=given.get("keepalives") != "0",
            idle=numbers.get("keepalives_idle", ordinary.idle),
            interval=numbers.get("keepalives_interval", ordinary.interval),
            count=numbers.get("keepalives_count", ordinary.count),
            user_timeout=numbers.get("tcp_user_timeout"),
        ),
        is_balanced=given.get("load_balance_hosts") == "random",
        ignored=tuple(sorted(_OF_POOLERS & given.keys())),
    )


def _check(name: str, value: str) -> None:
    known = _CHOICES.keys() | _NUMBERS.keys() | _TEXTS | _PLACES
    if name in _OF_POOLERS:
        return
    if name not in known:
        raise UrlError(describe_unsupported(name, known))
    if not value:
        raise UrlError(f"has an empty {name}; leave it out")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UrlError(f"has an unsupported {name}; supported: {', '.join(_CHOICES[name])}")
    if name in _NUMBERS:
        allowed = _NUMBERS[name]
        if not (_DIGITS.fullmatch(value) and int(value) in allowed):
            raise UrlError(f"{name} must be a number from {allowed[0]} to {allowed[-1]}")
    if name.endswith("application_name") and len(value.encode()) > _MAX_NAME_BYTES:
        raise UrlError(f"{name} must have at most {_MAX_NAME_BYTES} bytes")


def _read_tls(given: Mapping[str, str]) -> dict[str, str]:
    """Verify the server wherever the URL requires it.

    The driver does not bind channels (RFC 5929). A verified certificate protects from the same
    attack, a server in between that forwards the proof of the password.
    """
    tls = {name: given[name] for name in sorted(_FOR_DRIVER & given.keys())}
    if given.get("channel_binding") == "require":
        tls = {"sslrootcert": SYSTEM} | tls | {"sslmode": _VERIFIED}
    if tls.get("sslrootcert") == SYSTEM and tls.setdefault("sslmode", _VERIFIED) != _VERIFIED:
        raise UrlError(f"sslrootcert={SYSTEM} needs sslmode={_VERIFIED}")
    if tls.get("sslnegotiation") == "direct" and tls.get("sslmode") not in _ENCRYPTED:
        raise UrlError(f"sslnegotiation=direct needs sslmode={', '.join(_ENCRYPTED)}")
    return tls


def _check_options(options: str) -> str:
    """Return the words of the parameter `options`, which may not contain `OWN_SETTINGS`."""
    for word in _WORD.findall(re.sub(r"(?<!\S)-c\s+", "-c", options)):
        if _OF_PROXY.fullmatch(word):
            continue
        setting = _SETTING.fullmatch(word)
        if setting is None:
            raise UrlError("options may have settings only, such as -csearch_path=shop")
        if (name := setting["name"].lower().replace("-", "_")) in OWN_SETTINGS:
            raise UrlError(f"options may not set {name}, which Ordergate sets")
    return options
