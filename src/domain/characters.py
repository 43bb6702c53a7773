"""Characters of text that comes in: which of them may be stored, and how errors name them."""

import unicodedata
from collections.abc import Callable

_KINDS = {
    "Cc": "a control character",
    "Cs": "a surrogate",
    "Co": "a private-use character",
    "Cn": "a character that is not assigned",
}
_NEVER_WRITTEN = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
_NONCHARACTERS = frozenset(map(chr, range(0xFDD0, 0xFDF0))) | {
    chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
}
_UNSEEN = frozenset({"Zs", "Cf"})
_CLOSED_BY = dict.fromkeys("\u202a\u202b\u202d\u202e", "\u202c") | dict.fromkeys(
    "\u2066\u2067\u2068", "\u2069"
)
"""Bidirectional embeddings, overrides and isolates → what ends them (UAX #9, section 2)."""

MAX_MARKS = 30
"""The most combining characters in a row: that of the Stream-Safe Text Format (UAX #15, 13)."""

_NON_STARTER_DECOMPOSITIONS = frozenset("\u0f73\u0f75\u0f81")
"""Characters that count as letters and decompose to combining ones (UAX #15, section 5)."""


def is_quickly_normalized(text: str) -> bool:
    """Say whether no letter has more than `MAX_MARKS` combining characters.

    Normalizing sorts those of one letter, in a time that grows with the square of their number: 20
    ms for 4,096, in which an event loop serves nobody else.
    """
    if text.isascii():
        return True
    marks = 0
    for character in text:
        if unicodedata.combining(character) or character in _NON_STARTER_DECOMPOSITIONS:
            marks += 1
        else:
            marks = 0
        if marks > MAX_MARKS:
            return False
    return True


def is_printable(character: str) -> bool:
    """Say whether it is a letter, mark, digit, symbol, punctuation or the ASCII space."""
    return character.isprintable()


def is_written(character: str) -> bool:
    """Say whether people write it: RFC 8264's FreeformClass, and beyond it what that leaves out.

    These are format characters, which join emoji and letters and mark directions, and characters
    that this version of Unicode does not assign, such as an emoji that is newer. Controls,
    surrogates, private use, noncharacters and line separators are not written.
    """
    category = unicodedata.category(character)
    return category not in _NEVER_WRITTEN and character not in _NONCHARACTERS


def first_flaw(text: str, allowed: Callable[[str], bool]) -> str | None:
    """Say what is wrong with text that is shown to people; `None` for nothing.

    Every character is `allowed`, one of them can be seen, and every direction that is opened is
    closed, so that the text does not reorder what stands after it.
    """
    if text.isprintable() and not text.isspace():  # as nearly all text
        return None
    for place, character in enumerate(text):
        if not allowed(character):
            return f"has {character_at(text, place)}, which is not allowed"
    if all(unicodedata.category(character) in _UNSEEN for character in text):
        return "has no character that can be seen"
    opened: list[int] = []
    for place, character in enumerate(text):
        if character in _CLOSED_BY:
            opened.append(place)
        elif opened and character == _CLOSED_BY[text[opened[-1]]]:
            opened.pop()
    return f"does not close {character_at(text, opened[0])}" if opened else None


def character_at(text: str, place: int) -> str:
    """Name the character at an index, as `U+00A0 (NO-BREAK SPACE) at position 3`, from 1."""
    character = text[place]
    kind = _KINDS.get(unicodedata.category(character), "a character without a name")
    known = unicodedata.name(character, kind)
    return f"U+{ord(character):04X} ({known}) at position {place + 1}"
