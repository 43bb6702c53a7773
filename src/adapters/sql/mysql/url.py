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


def find_url_error(url: str) -> str | None:
    """Describe the mistake in a database URL without quoting the URL."""
    return _choose_urls(url).error(url)


def split_hosts(url: str) -> list[str]:
    """Return a URL for each host of a valid URL."""
    return _choose_urls(url).split_hosts(url)


def find_address(url: str) -> str:
    """Return hosts, ports and database of a valid URL, without secrets."""
    return _choose_urls(url).find_address(url)


def _choose_urls(url: str) -> ServerUrls:
    return _URLS[url.partition(":")[0]]
