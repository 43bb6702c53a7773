"""URLs of MariaDB and MySQL databases and their hosts."""

from typing import NamedTuple
from urllib.parse import parse_qs

from ordergate.adapters.sql.server.url import ServerUrls

DEFAULT_PORT = 3306
_PARAMETERS = {
    "ssl-mode": {"DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"},
    "ssl-ca": None,
    "ssl-cert": None,
    "ssl-key": None,
}
_URLS = {scheme: ServerUrls(scheme, DEFAULT_PORT, _PARAMETERS) for scheme in ("mysql", "mariadb")}


SOCKET = "SOCKET"
"""The mode of a Unix socket, which has no TLS."""


class TlsParameters(NamedTuple):
    """The mode and the files of TLS.

    `certificate` and `key` are those of this client.
    """

    mode: str
    ca: str | None
    certificate: str | None
    key: str | None


def find_url_error(url: str) -> str | None:
    """Describe the mistake in a database URL without quoting the URL."""
    return _choose_urls(url).error(url) or _find_unused_file(url)


def split_hosts(url: str) -> list[str]:
    """Return a URL for each host of a valid URL."""
    return _choose_urls(url).split_hosts(url)


def find_address(url: str) -> str:
    """Return hosts, ports and database of a valid URL, without secrets."""
    return _choose_urls(url).find_address(url)


def read_tls_parameters(url: str) -> TlsParameters:
    """Read the parameters of TLS of a valid URL.

    The mode is VERIFY_IDENTITY with `ssl-ca`, else PREFERRED.
    """
    address, _, query = url.partition("?")
    given = {name: values[0] for name, values in parse_qs(query).items()}
    ca = given.get("ssl-ca")
    mode = given.get("ssl-mode", "VERIFY_IDENTITY" if ca else "PREFERRED")
    hosts = address.partition("://")[2].rpartition("@")[2].split(",")
    if all(host.lower().startswith("%2f") for host in hosts):
        mode = SOCKET
    return TlsParameters(mode, ca, given.get("ssl-cert"), given.get("ssl-key"))


def _find_unused_file(url: str) -> str | None:
    """Describe a file for TLS that would have no effect."""
    mode, ca, certificate, key = read_tls_parameters(url)
    given = {"ssl-ca": ca, "ssl-cert": certificate, "ssl-key": key}
    names = [name for name, file in given.items() if file]
    if names and mode == SOCKET:
        return f"has {names[0]}, which is not used on a Unix socket; leave it out"
    if names and mode == "DISABLED":
        return f"has {names[0]}, which is not used with ssl-mode=DISABLED; leave one out"
    if ca and not mode.startswith("VERIFY"):
        return f"has ssl-ca, which is not used with ssl-mode={mode}; use VERIFY_IDENTITY"
    if key and not certificate:
        return "has ssl-key without ssl-cert; name the file of the certificate, too"
    return None


def _choose_urls(url: str) -> ServerUrls:
    return _URLS[url.partition(":")[0]]
