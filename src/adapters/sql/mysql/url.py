"""URLs of MariaDB and MySQL databases and their hosts."""

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


def find_url_error(url: str) -> str | None:
    """Describe the mistake in a database URL without quoting the URL."""
    return _choose_urls(url).error(url) or _find_unused_parameter(url)


def split_hosts(url: str) -> list[str]:
    """Return a URL for each host of a valid URL."""
    return _choose_urls(url).split_hosts(url)


def find_address(url: str) -> str:
    """Return hosts, ports and database of a valid URL, without secrets."""
    return _choose_urls(url).find_address(url)


def _find_unused_parameter(url: str) -> str | None:
    """Describe a file for TLS that would have no effect."""
    parameters = {name: each for name, (each, *_) in parse_qs(url.partition("?")[2]).items()}
    mode = parameters.get("ssl-mode", "VERIFY_IDENTITY")
    if "ssl-ca" in parameters and not mode.startswith("VERIFY"):
        return f"has ssl-ca, which is not used with ssl-mode={mode}; use VERIFY_IDENTITY"
    if "ssl-key" in parameters and "ssl-cert" not in parameters:
        return "has ssl-key without ssl-cert; name the file of the certificate, too"
    return None


def _choose_urls(url: str) -> ServerUrls:
    return _URLS[url.partition(":")[0]]
