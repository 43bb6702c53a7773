"""Characters of text that comes in: which of them may be stored, and how errors name them."""

import re
import unicodedata
from collections.abc import Callable

_KINDS = {
    "Cc": "a control character",
    "Cs": "a surrogate",
    "Co": "a private-use character",
    "Cn": "a character that is not assigned",
}
_NEVER_WRITTEN = re.compile(
    "[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\U000f0000-\U0010ffff"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
"""Cc, Zl, Zp, Cs, Co and noncharacters, which are the same in every version of Unicode."""
_UNSEEN = frozenset({"Zs", "Cf"})
_CLOSED_BY = dict.fromkeys("\u202a\u202b\u202d\u202e", "\u202c") | dict.fromkeys(
    "\u2066\u2067\u2068", "\u2069"
)
"""Bidirectional embeddings, overrides and isolates → what ends them (UAX #9, section 2)."""
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
MAX_DIRECTIONS = 32
"""The most characters of a text that open or close a direction: an order has 100 names."""

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


def unprintable_at(text: str) -> int | None:
    """Return the first index of what is no letter, mark, digit, symbol, punctuation or space.

    The space is ASCII's.
    """
    if text.isprintable():
        return None
    return next(i for i, character in enumerate(text) if not character.isprintable())


def unwritten_at(text: str) -> int | None:
    """Return the first index of what people do not write.

    They write RFC 8264's FreeformClass, and beyond it what that leaves out: format characters,
    which join emoji and letters and mark directions, and characters that this version of Unicode
    does not assign, such as an emoji that is newer. Controls, surrogates, private use,
    noncharacters and line separators are not written.
    """
    match = _NEVER_WRITTEN.search(text)
    return match.start() if match else None


def first_flaw(text: str, refused_at: Callable[[str], int | None]) -> str | None:
    """Say what is wrong with text that is shown to people; `None` for nothing.

    `refused_at` finds no character, one of them can be seen, and each of at most `MAX_DIRECTIONS`
    directions that are opened is closed, so that the text does not reorder what stands after it.
    """
    if text.isprintable() and not text.isspace():  # as nearly all text
        return None
    refused = refused_at(text)
    if refused is not None:
        return f"has {character_at(text, refused)}, which is not allowed"
    if _UNSEEN.issuperset(map(unicodedata.category, text)):
        return "has no character that can be seen"
    directions = [match.start() for match in _DIRECTION.finditer(text)]
    if len(directions) > MAX_DIRECTIONS:
        return f"changes its direction more than {MAX_DIRECTIONS} times"
    opened: list[int] = []
    for place in directions:
        character = text[place]
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
