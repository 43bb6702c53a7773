"""Rules for new passwords: NIST SP 800-63B-4, section 3.1.1.2."""

from collections.abc import Container
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_lowercase

from ordergate.domain.errors import WeakPassword
from ordergate.domain.user import Password, Username

LEAST_MIN_LENGTH = 8
"""The shortest minimum length that NIST allows."""

_SERVICE = "ordergate"
_SHORTEST_WORD = 3
_FEWEST_CHARACTERS = 5
_LONGEST_UNIT = 64
"""Longer than every common password. A search for all units of 4,096 characters would take 4 ms."""


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """Require `min_length` characters and refuse passwords that are easily guessed.

    Those are passwords in `common` (in lower case), repetitions of them or of a few characters,
    runs such as `abcdefgh`, and passwords that are little more than a common one, the user's name
    or the name of this service. There are no rules of composition, because they make passwords
    worse.
    """

    min_length: int
    common: Container[str]

    def check(self, password: Password, username: Username) -> None:
        """Raise `WeakPassword` with the reason for a refused password."""
        secret = password.secret
        if len(secret) < self.min_length:
            raise WeakPassword(f"A password must have at least {self.min_length} characters.")
        folded = secret.casefold()
        unit = _find_unit(folded)
        if folded in self.common or unit in self.common:
            raise WeakPassword("This password is among the most common ones; choose another.")
        if _is_pattern(folded):
            raise WeakPassword("This password repeats or counts a few characters; choose another.")
        core = _strip_surroundings(folded)
        common = [core] if core in self.common else []
        for word in (username.value.casefold(), _SERVICE, *common):
            rest = folded.replace(word, "")
            little = len(rest) < LEAST_MIN_LENGTH or _is_pattern(rest)
            if len(word) >= _SHORTEST_WORD and word in folded and little:
                raise WeakPassword(
                    "This password is little more than a common one or a name; choose another."
                )


def _strip_surroundings(text: str) -> str:
    """Return the word inside surrounding digits and punctuation."""
    first = min((at for at in map(text.find, ascii_lowercase) if at >= 0), default=0)
    return text[first : max(map(text.rfind, ascii_lowercase)) + 1]


def _is_pattern(text: str) -> bool:
    if len(text) >= LEAST_MIN_LENGTH and len(set(text)) < _FEWEST_CHARACTERS:
        return True
    return len(_find_unit(text)) < min(LEAST_MIN_LENGTH, len(text)) or _is_run(text)


def _find_unit(text: str) -> str:
    """Return the shortest text whose repetition gives this one.

    The last repetition may be partial. Units of more than `_LONGEST_UNIT` characters are not
    searched: the text itself is returned.
    """
    lengths = range(1, min(len(text), _LONGEST_UNIT) + 1)
    return next((text[:length] for length in lengths if text.startswith(text[length:])), text)


def _is_run(text: str) -> bool:
    """Report whether each character follows the previous one.

    It follows upwards or downwards; 0 follows 9.
    """
    steps = {
        (ord(b) - ord(a)) % 10 if (a + b).isdecimal() else ord(b) - ord(a)
        for a, b in pairwise(text)
    }
    return steps in ({1}, {-1}, {9})
