"""URLs of databases on servers, which may name several hosts."""

import re
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv6Address
from urllib.parse import parse_qs

# A URL of several hosts is not one of RFC 3986. Since the fix of CVE-2025-0938, urllib refuses it
# where a name stands before an IPv6 address.
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<account>[^:@/?#]+(?::[^:@/?#]*)?@)?(?P<hosts>[^@/?#]+)"
    r"(?P<database>/[^/?#]+)(?P<query>\?[^#@]*)?"
)
_HOST = re.compile(
    r"(?:[A-Za-z0-9._-]+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|%2[Ff][A-Za-z0-9._%-]+)"
    r"(?::(?P<port>[^:]*))?"
)
_LAST_PORT = 65_535
PORT_FLAW = f"has a port that is not a number from 1 to {_LAST_PORT}"
"""A mistake in a URL, whose text is not quoted because it may be part of a password."""

_PARAMETER = re.compile("[A-Za-z][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """The URLs of an engine.

    `parameters` maps the name of each parameter to its values, `None` for any.
    """

    scheme: str
    default_port: int
    parameters: Mapping[str, AbstractSet[str] | None]

    def error(self, url: str) -> str | None:
        """Describe the mistake in a database URL without quoting the URL."""
        parts = self._match(url)
        if parts is None or not url.isprintable() or not all(map(_is_host, _list_hosts(parts))):
            return self._form
        if not all(map(_has_valid_port, _list_hosts(parts))):
            return PORT_FLAW
        query = (parts["query"] or "").removeprefix("?")
        try:
            parameters = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            return self._form
        for name, values in parameters.items():
            if name not in self.parameters:
                return describe_unsupported(name, self.parameters)
            allowed = self.parameters[name]
            if len(values) > 1 or not values[0] or (allowed and values[0] not in allowed):
                known = f"{name} must be one of {', '.join(sorted(allowed or ()))}"
                return known if allowed else self._form
        return None

    def split_hosts(self, url: str) -> list[str]:
        """Return a URL for each host of a valid URL."""
        parts = self._read_parts(url)
        account, rest = parts["account"] or "", parts["database"] + (parts["query"] or "")
        return [f"{self.scheme}://{account}{host}{rest}" for host in _list_hosts(parts)]

    def find_address(self, url: str) -> str:
        """Return hosts, ports and database of a valid URL, without secrets."""
        parts = self._read_parts(url)
        return ",".join(self._add_ports(parts)) + parts["database"]

    def _add_ports(self, parts: re.Match[str]) -> Iterator[str]:
        for host in _list_hosts(parts):
            match = _HOST.fullmatch(host)
            yield host if match and match["port"] else f"{host}:{self.default_port}"

    def _match(self, url: str) -> re.Match[str] | None:
        parts = _URL.fullmatch(url)
        return parts if parts and parts["scheme"] == self.scheme else None

    def _read_parts(self, url: str) -> re.Match[str]:
        parts = self._match(url)
        if parts is None:
            raise ValueError(self._form)
        return parts

    @property
    def _form(self) -> str:
        return (
            f"must look like {self.scheme}://name:password@host/database,"
            " with other characters as %40"
        )


def is_port(text: str) -> bool:
    """Report whether a text is the number of a port."""
    return bool(re.fullmatch("[0-9]{1,5}", text)) and 0 < int(text) <= _LAST_PORT


def describe_unsupported(name: str, supported: Collection[str]) -> str:
    """Describe a parameter that a URL may not have."""
    named = f"the parameter {name}" if _PARAMETER.fullmatch(name) else "a parameter"
    similar = get_close_matches(name, [*supported], n=1)
    hint = (
        f"did you mean {similar[0]}?" if similar else f"supported: {', '.join(sorted(supported))}"
    )
    return f"has {named}, which is not supported; {hint}"


def _list_hosts(url: re.Match[str]) -> list[str]:
    return url["hosts"].split(",")


def _is_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match["ipv6"]:
        with suppress(ValueError):
            return bool(IPv6Address(match["ipv6"]))
        return False
    return True


def _has_valid_port(host: str) -> bool:
    match = _HOST.fullmatch(host)
    return match is None or match["port"] is None or is_port(match["port"])
