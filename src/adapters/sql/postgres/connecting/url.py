"""URLs of PostgreSQL databases, as libpq reads them, and their hosts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, urlencode

from ordergate.adapters.sql.postgres.connecting.parameters import (
    SYSTEM,
    Parameters,
    UrlError,
    read_parameters,
)
from ordergate.adapters.sql.server.url import PORT_FLAW, is_port

# A URL of several hosts is not one of RFC 3986. Since the fix of CVE-2025-0938, urllib refuses it
# where a name stands before an IPv6 address.
_URL = re.compile(
    r"postgresql://(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^:@/?#]*))?@)?(?P<hosts>[^@/?#]*)"
    r"(?:/(?P<database>[^/?#]*))?(?:\?(?P<query>[^#@]*))?"
)
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|%2[Ff][A-Za-z0-9._%-]+)"
    r"(?::(?P<port>[^:]*))?"
)
_DEFAULT_PORT = 5432
_FORM = "must look like postgresql://name:password@host/database, with other characters as %40"


@dataclass(frozen=True, slots=True)
class Host:
    """A host's name, address or Unix socket folder, and the port."""

    name: str
    port: int = _DEFAULT_PORT

    @property
    def is_folder(self) -> bool:
        """Whether the connection is a Unix socket."""
        return self.name.startswith("/")

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name and not self.is_folder else self.name
        return f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database at one of several hosts.

    A missing user or password is `None`.
    """

    hosts: tuple[Host, ...]
    database: str
    user: str | None
    password: str | None = field(repr=False)
    parameters: Parameters = field(repr=False)

    @classmethod
    def read(cls, url: str) -> "DatabaseUrl":
        """Read a URL. Raises `UrlError`, which does not quote it."""
        parts = _URL.fullmatch(url)
        if parts is None or not url.isprintable():
            raise UrlError(_FORM)
        query = _read_query(parts["query"])
        parameters = read_parameters(query)
        database = _read_part("dbname", parts["database"], query)
        if not database:
            raise UrlError(_FORM)
        return cls(
            hosts=_read_hosts(parts["hosts"], query),
            database=database,
            user=_read_part("user", parts["user"], query),
            password=_read_part("password", parts["password"], query),
            parameters=parameters,
        )

    def split(self) -> list["DatabaseUrl"]:
        """Return a URL for each host."""
        return [replace(self, hosts=(host,)) for host in self.hosts]

    @property
    def address(self) -> str:
        """Hosts, ports and database, without secrets."""
        return f"{','.join(map(str, self.hosts))}/{self.database}"


def write_driver_url(url: DatabaseUrl) -> str:
    """Write a URL's database and parameters as the driver reads them."""
    given = url.parameters.for_driver
    read = {name: value for name, value in sorted(given.items()) if value != SYSTEM}
    return f"postgresql:///{quote(url.database, safe='')}?{urlencode(read)}".rstrip("?")


def find_url_error(url: str) -> str | None:
    """Describe the mistake in a database URL without quoting the URL."""
    try:
        DatabaseUrl.read(url)
    except UrlError as error:
        return str(error)
    return None


def _read_query(query: str | None) -> dict[str, str]:
    """Read names and values; a `+` is no space here."""
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, separator, value = pair.partition("=")
        if not separator:
            raise UrlError(_FORM)
        if name in found:
            raise UrlError("names a parameter twice")
        found[name] = unquote(value)
    if not all(value.isprintable() for value in found.values()):
        raise UrlError(_FORM)
    return found


def _read_part(name: str, written: str | None, query: Mapping[str, str]) -> str | None:
    """Return a part of the address, which may be a parameter instead."""
    if written and name in query:
        raise UrlError(f"has a {name} in its address and among its parameters; name it once")
    return unquote(written) if written else query.get(name)


def _read_hosts(written: str, query: Mapping[str, str]) -> tuple[Host, ...]:
    if written:
        if "host" in query or "port" in query:
            raise UrlError("has a host in its address and among its parameters; name it once")
        return tuple(_read_host(host) for host in written.split(","))
    names = query.get("host", "").split(",")
    ports = query.get("port", str(_DEFAULT_PORT)).split(",")
    if len(ports) == 1:
        ports *= len(names)
    if len(ports) != len(names) or not all(names):
        raise UrlError(_FORM)
    return tuple(Host(name, _read_port(port)) for name, port in zip(names, ports, strict=True))


def _read_host(text: str) -> Host:
    match = _HOST.fullmatch(text)
    if match is None:
        raise UrlError(_FORM)
    name = unquote(match["name"])
    if match["ipv6"]:
        name = match["ipv6"]
        try:
            IPv6Address(name)
        except ValueError:
            raise UrlError(_FORM) from None
    port = match["port"]
    return Host(name, _DEFAULT_PORT if port is None else _read_port(port))


def _read_port(text: str) -> int:
    if not is_port(text):
        raise UrlError(PORT_FLAW)
    return int(text)
