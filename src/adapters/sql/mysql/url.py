"""URLs of MariaDB and MySQL databases and their hosts."""

from ordergate.adapters.sql.server.url import ServerUrls

DEFAULT_PORT = 3306
_PARAMETERS = {
    "ssl-mode": {"DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"},
    "ssl-ca": None,
    "ssl-cert": None,
    "ssl-key": None,
}
_URLS = {scheme: ServerUrls(scheme, DEFAULT_PORT, _PARAMETERS) for scheme in ("mysql", "mariadb")}


def url_error(url: str) -> str | None:
    """Describe the mistake in a database URL without quoting the URL."""
    return _urls_of(url).error(url)


def split_hosts(url: str) -> list[str]:
    """Return a URL for each host of a valid URL."""
    return _urls_of(url).split_hosts(url)


def address_in(url: str) -> str:
    """Return hosts, ports and database of a valid URL, without secrets."""
    return _urls_of(url).address_in(url)


def _urls_of(url: str) -> ServerUrls:
    return _URLS[url.partition(":")[0]]
