"""Conditional requests (RFC 9110, section 13): entity tags, `If-Match` and `If-None-Match`.

A resource has one representation for each of its versions, so that the version is its strong tag.
"""

import re
from collections.abc import Collection, Container
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic.json_schema import SkipJsonSchema

from entrypoints.http.errors import invalid_header
from entrypoints.http.fields import field_values
from entrypoints.http.openapi import header
from entrypoints.http.problems import Problem, ProblemError

_ANY = "*"
# Possessive, so that no input makes it go back and forth; the list may have empty elements (5.6.1).
_ELEMENT = re.compile(r'[ \t]*+((?:W/)?"[!#-~\x80-\xff]*+"[ \t]*+)?(,|\Z)')
ETAG = header("The version of the order, as a strong entity tag.", '"1"')


WEAK_TAG = Problem(
    412,
    "A weak entity tag matches nothing in If-Match; does a proxy compress, and weaken them?",
    "weak-entity-tag",
)


def entity_tag(version: int) -> str:
    """Write the strong tag of a version (RFC 9110, section 8.8.3): `"7"`."""
    return f'"{version}"'


@dataclass(frozen=True, slots=True)
class EntityTags:
    """Tags as they are written, or `*`."""

    tags: Collection[str]

    def match(self, version: int) -> bool:
        """Compare weakly, as reading does (RFC 9110, section 8.8.3.2)."""
        tag = entity_tag(version)
        return not {_ANY, tag, f"W/{tag}"}.isdisjoint(self.tags)


@dataclass(frozen=True, slots=True)
class ExpectedVersions(Container[int]):
    """The versions whose tags were sent; compared strongly, so that a weak tag names none."""

    tags: Collection[str]

    def __contains__(self, version: object) -> bool:
        return isinstance(version, int) and entity_tag(version) in self.tags


def entity_tags(name: str, values: list[str]) -> frozenset[str]:
    """Read `*` or a list of entity tags from every field of that name, which are one list.

    Raises a problem 400 for anything else.
    """
    text = ", ".join(values)
    if text.strip(" \t") == _ANY:
        return frozenset({_ANY})
    tags, position = set(), 0
    while element := _ELEMENT.match(text, position):
        tags.add((element[1] or "").rstrip(" \t"))
        position = element.end()
        if not element[2]:
            break
    else:
        tags.clear()
    tags.discard("")
    if not tags:
        raise ProblemError(
            invalid_header(name, f"is {_ANY} or a list of entity tags such as {entity_tag(7)}")
        )
    return frozenset(tags)


async def _if_match(
    request: Request,
    _: Annotated[
        str | SkipJsonSchema[None],
        Header(
            alias="If-Match",
            description="Only if the order has one of these entity tags, or any for `*`.",
            examples=['"1"'],
        ),
    ] = None,
) -> ExpectedVersions | None:
    given = field_values(request, b"if-match")
    tags = entity_tags("If-Match", given) if given else {_ANY}
    if all(tag.startswith("W/") for tag in tags):
        raise ProblemError(WEAK_TAG)
    return None if _ANY in tags else ExpectedVersions(tags)


async def _if_none_match(
    request: Request,
    _: Annotated[
        str | SkipJsonSchema[None],
        Header(
            alias="If-None-Match",
            description="Only if the order has none of these entity tags; else 304.",
            examples=['"1"'],
        ),
    ] = None,
) -> EntityTags:
    given = field_values(request, b"if-none-match")
    return EntityTags(entity_tags("If-None-Match", given) if given else ())


IfMatch = Annotated[ExpectedVersions | None, Depends(_if_match)]
"""The versions that the caller expects one of; `None` for any."""

IfNoneMatch = Annotated[EntityTags, Depends(_if_none_match)]
"""The representations that the caller has."""
