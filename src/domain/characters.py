"""Characters of new text: which are allowed, and their names in errors."""

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
"""Bidirectional embeddings, overrides and isolates → the character that closes them (UAX #9, 2)."""
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
MAX_DIRECTIONS = 32
"""The most characters of a text that open or close a direction: an order has 100 names."""

MAX_MARKS = 30
"""The most combining characters in a row, as in the Stream-Safe Text Format (UAX #15, 13)."""

_NON_STARTER_DECOMPOSITIONS = frozenset("\u0f73\u0f75\u0f81")
"""Characters that count as letters and decompose to combining ones (UAX #15, section 5)."""


def is_quickly_normalized(text: str) -> bool:
    """Report whether no letter has more than `MAX_MARKS` combining characters.

    Normalization sorts the combining characters of a letter in quadratic time: 4,096 take 20 ms,
    during which the event loop is blocked.
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


def find_unprintable(text: str) -> int | None:
    """Return the index of the first unprintable character.

    Letters, marks, digits, symbols, punctuation and the ASCII space are printable.
    """
    if text.isprintable():
        return None
    return next(i for i, character in enumerate(text) if not character.isprintable())


def find_forbidden(text: str) -> int | None:
    """Return the index of the first character that people do not write.

    Controls, surrogates, private use, noncharacters and line separators are not written. All others
    are: RFC 8264's FreeformClass, format characters, which join emoji and letters and mark
    directions, and characters that this version of Unicode does not assign, such as a newer emoji.
    """
    match = _NEVER_WRITTEN.search(text)
    return match.start() if match else None


def describe_first_flaw(text: str, refused_at: Callable[[str], int | None]) -> str | None:
    """Describe the first mistake in displayed text, or return `None`.

    `refused_at` returns the index of a forbidden character. Text also needs a visible character,
    and at most `MAX_DIRECTIONS` directions, each of which is closed, so that it does not reorder
    the text after it.
    """
    if text.isprintable() and not text.isspace():  # the common case
        return None
    refused = refused_at(text)
    if refused is not None:
        return f"has {character_at(text, refused)}, which is not allowed"
    if _UNSEEN.issuperset(map(unicodedata.category, text)):
        return "has no visible character"
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
    """Name the character at an index, with its position from 1.

    An example is `U+00A0 (NO-BREAK SPACE) at position 3`.
    """
    character = text[place]
    kind = _KINDS.get(unicodedata.category(character), "a character without a name")
    known = unicodedata.name(character, kind)
    return f"U+{ord(character):04X} ({known}) at position {place + 1}"
