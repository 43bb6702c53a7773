"""URLs without secrets, for operators."""

from urllib.parse import urlsplit

HIDDEN = "***"
"""What stands for a secret."""


def write_without_account(url: str, address: str) -> str:
    """Write a URL with this address, without account and parameters."""
    scheme = url.partition(":")[0]
    account = f"{HIDDEN}@" if "@" in url else ""
    parameters = f"?{HIDDEN}" if "?" in url else ""
    return f"{scheme}://{account}{address}{parameters}"


def hide_account(url: str) -> str:
    """Hide the account and the parameters of a URL.

    A word that is no URL is returned unchanged.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return write_without_account(url, f"{host}{port}{parts.path}")
