"""Conditional requests (RFC 9110, section 13): entity tags, `If-Match` and `If-None-Match`.

An order has one representation for each of its versions, so its version is its strong entity tag.
Other resources have no entity tag.
"""

import re
from dataclasses import dataclass
from typing import Self

from fastapi import Request

from ordergate.application.errors import OrderChanged
from ordergate.entrypoints.http.openapi.responses import header, header_parameter
from ordergate.entrypoints.http.problems.problem import Problem, ProblemError, invalid_header
from ordergate.entrypoints.http.requests.fields import read_field_values

_ANY = "*"
_MAX_CHARACTERS = 8_192
"""The maximum of a list; comparing one of a whole head would block for 5 ms."""
_TAG = r'(?:W/)?"[!#-~\x80-\xff]*+"'
_TAGS = re.compile(_TAG)
_ELEMENT = rf"[ \t]*+(?:{_TAG}[ \t]*+)?"
_LIST = re.compile(f"(?:{_ELEMENT},)*{_ELEMENT}")  # it may have empty elements (5.6.1)
# A proxy that compresses an answer changes its strong tag: `"1"` becomes `"1-gzip"` (Apache, Caddy,
# lighttpd), `"1--gzip"` (Jetty) or `"1;gzip"` (Django), and comes back as that. The group is not
# possessive: Python before 3.11.5 then matches a part of a suffix (gh-106052).
_END_OF_OWN = re.compile(r'(?:(?:--?|;)(?:br|bzip2|compress|deflate|gzip|x-gzip|zstd))*"')
ETAG = header("The version of the order, as a strong entity tag.", '"1"')


WEAK_TAG = Problem(
    412,
    "If-Match requires a strong entity tag (RFC 9110, section 13.1.1). A proxy that compresses may"
    " have weakened it.",
    "weak-entity-tag",
)
EXCLUDED = Problem(
    412,
    "The order has an entity tag that If-None-Match excludes. Read the order again.",
    "precondition-failed",
)
UNTAGGED = Problem(
    412,
    "This resource has no entity tag. Send the request without If-Match and If-None-Match.",
    "precondition-failed",
)


def make_entity_tag(version: int) -> str:
    """Write the strong tag of a version (RFC 9110, section 8.8.3): `"7"`."""
    return f'"{version}"'


@dataclass(frozen=True, slots=True)
class EntityTags:
    """A list of entity tags, or `*`."""

    text: str

    @classmethod
    def read(cls, name: str, values: list[str]) -> Self:
        """Read all fields of a name as one list.

        Raises a problem 400 if malformed.
        """
        text = ", ".join(values).strip(" \t")
        if text != _ANY and not (
            len(text) <= _MAX_CHARACTERS and '"' in text and _LIST.fullmatch(text)
        ):
            raise ProblemError(
                invalid_header(
                    name,
                    f"must be {_ANY} or a list of entity tags such as {make_entity_tag(7)},"
                    f" of at most {_MAX_CHARACTERS} characters",
                )
            )
        return cls(text)

    @property
    def are_any(self) -> bool:
        """Whether the text is `*`."""
        return self.text == _ANY

    @property
    def are_weak(self) -> bool:
        """Whether every tag is weak, so none can match strongly."""
        return all(tag.startswith("W/") for tag in _TAGS.findall(self.text))

    def match(self, version: int, *, strongly: bool = False) -> bool:
        """Compare with an own tag, with or without suffixes of proxies.

        `If-None-Match` compares weakly, and `If-Match` strongly (RFC 9110, section 8.8.3.2).
        """
        if self.are_any:
            return True
        beginning, end = f'"{version}', 0
        while (start := self.text.find(beginning, end)) >= 0:
            end = start + len(beginning)
            is_weak = self.text.startswith("W/", max(0, start - 2), start)
            if not (strongly and is_weak) and _END_OF_OWN.match(self.text, end):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The conditions of one request, in their order (RFC 9110, section 13.2.2).

    A route evaluates them after its other checks (13.2.1): a missing order is 404. A header that
    was not sent is `None`.
    """

    if_match: EntityTags | None
    if_none_match: EntityTags | None

    def check_if_match(self, version: int) -> None:
        """Raise `OrderChanged`, or a problem 412, unless `If-Match` allows the version."""
        if self.if_match is None or self.if_match.match(version, strongly=True):
            return
        if self.if_match.are_weak:
            raise ProblemError(WEAK_TAG)
        raise OrderChanged

    def matches_if_none_match(self, version: int) -> bool:
        """Return whether `If-None-Match` excludes the version: a GET is answered 304."""
        return self.if_none_match is not None and self.if_none_match.match(version)

    def check_change(self, version: int) -> None:
        """Raise `OrderChanged`, or a problem 412, unless the version may be changed."""
        self.check_if_match(version)
        if self.matches_if_none_match(version):
            raise ProblemError(EXCLUDED)


_NO_CONDITIONS = Preconditions(None, None)


def read_preconditions(request: Request) -> Preconditions:
    """Return the preconditions of a request for an order.

    Raises a problem 400 for a malformed header. The route documents `CONDITION_HEADERS`.
    """
    if_match, if_none_match = (_read_tags(request, name) for name in ("If-Match", "If-None-Match"))
    if if_match is None and if_none_match is None:
        return _NO_CONDITIONS
    return Preconditions(if_match, if_none_match)


def _read_tags(request: Request, name: str) -> EntityTags | None:
    values = read_field_values(request, name.lower().encode())
    return EntityTags.read(name, values) if values else None


CONDITION_HEADERS = {
    "parameters": [
        header_parameter(
            "If-Match",
            "Run the request only if the order has one of these entity tags; `*` means any."
            " Otherwise the answer is 412.",
            _ANY,
        ),
        header_parameter(
            "If-None-Match",
            "Run the request only if the order has none of these entity tags. Otherwise the answer"
            " is 304 to a GET, and 412 to any other method.",
            make_entity_tag(0),  # of no order
        ),
    ]
}
"""The documentation of `read_preconditions`, as `openapi_extra` of a route.

FastAPI would validate declared headers, which takes longer than reading them.
"""
