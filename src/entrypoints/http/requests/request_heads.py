"""Rules for the head of a request under any server."""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from itertools import chain
from urllib.parse import quote

from starlette.types import Scope

from ordergate.entrypoints.http.problems.catalog import (
    HEAD_TOO_LARGE,
    INVALID_HOST,
    MAX_HEAD_BYTES,
    MAX_HEAD_FIELDS,
    TOO_MANY_FIELDS,
)
from ordergate.entrypoints.http.problems.problem import Problem, problem_for_status

_MAX_AUTHORITY_BYTES = 261
"""A name of 255 characters (RFC 3986, section 3.2.2), and a port."""
_AUTHORITY = re.compile(
    rb"(?:(?P<name>(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)|\[(?P<address>[0-9A-Fa-f:.]+)\])"
    rb"(?::(?P<port>[0-9]{0,5}))?"
    rb"[ \t]*"  # which httptools leaves at the end of a field value
)
_MAX_PORT = 65_535
_FIELD_OVERHEAD = len(b": \r\n")

_SECOND_SPELLING = re.compile(
    rb"%2[DEF]|%3[0-9]|%[46][1-9A-F]|%[57][0-9A]|%5F|%7E"  # unreserved characters and /
    rb"|/\.\.?(?:/|\Z)"  # dot segments
    rb"|%0A\Z",  # a final line feed, which the `$` of Starlette's patterns ignores
    re.IGNORECASE,
)
"""Parts that make a path equivalent to another one (RFC 3986, section 6.2.2)."""

_NOT_FOUND = problem_for_status(404)


def find_head_problem(scope: Scope) -> Problem | None:
    """Return the problem of a request's head, or `None`.

    A head that is too large is 431. A `Host` that is missing from HTTP/1.1, repeated or malformed
    is 400 (RFC 9112, section 3.2). A path that is a second spelling of another is 404, so a proxy's
    rules for a path hold for every request to it.
    """
    fields = scope["headers"]
    if len(fields) > MAX_HEAD_FIELDS:
        return TOO_MANY_FIELDS
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    size = len(path) + len(scope["query_string"]) + _FIELD_OVERHEAD * len(fields)
    size += sum(map(len, chain.from_iterable(fields)))
    hosts = [value for name, value in fields if name == b"host"]
    if size > MAX_HEAD_BYTES:
        return HEAD_TOO_LARGE
    if len(hosts) == 1:
        if not is_authority(hosts[0]):
            return INVALID_HOST
    elif hosts or scope["http_version"] == "1.1":
        return INVALID_HOST
    if (b"%" in path or b"/." in path) and _SECOND_SPELLING.search(path):
        return _NOT_FOUND
    return None


def is_authority(value: bytes) -> bool:
    """Report whether the text is a host and an optional port.

    The host is not empty (RFC 9110, section 4.2.1), and there is no userinfo (RFC 3986, section
    3.2).
    """
    return len(value) <= _MAX_AUTHORITY_BYTES and _matches_authority(value)


@lru_cache(maxsize=256)
def _matches_authority(value: bytes) -> bool:
    found = _AUTHORITY.fullmatch(value)
    if not found or int(found["port"] or 0) > _MAX_PORT:
        return False
    if found["address"]:
        try:
            IPv6Address(found["address"].decode())
        except AddressValueError:
            return False
    return True
