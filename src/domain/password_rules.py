"""What a password that somebody chooses must be: NIST SP 800-63B-4, section 3.1.1.2."""

from collections.abc import Container
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_lowercase

from ordergate.domain.errors import WeakPassword
from ordergate.domain.user import Password, Username

LEAST_MIN_LENGTH = 8
"""NIST allows no shorter minimum, whatever else protects an account."""

_SERVICE = "ordergate"
_SHORTEST_WORD = 3
_FEWEST_CHARACTERS = 5
_LONGEST_UNIT = 64
"""Longer than every common password. Looking for all units of 4,096 characters would take 4 ms."""


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """A password has `min_length` characters or more and is not one that is guessed first.

    Those are the ones in `common` (in lower case), those that repeat one of them or a few
    characters, runs such as `abcdefgh`, and those that are little more than a common one, the
    user's name or the name of this service. There are no rules of composition: they make
    passwords worse.
    """

    min_length: int
    common: Container[str]

    def check(self, password: Password, username: Username) -> None:
        """Raise `WeakPassword`, saying why, for a password that must not be chosen."""
        secret = password.secret
        if len(secret) < self.min_length:
            raise WeakPassword(f"A password has at least {self.min_length} characters.")
        folded = secret.casefold()
        unit = _unit(folded)
        if folded in self.common or unit in self.common:
            raise WeakPassword("This password is among the most common ones; choose another.")
        if _is_pattern(folded):
            raise WeakPassword("This password repeats or counts a few characters; choose another.")
        core = _core(folded)
        common = [core] if core in self.common else []
        for word in (username.value.casefold(), _SERVICE, *common):
            rest = folded.replace(word, "")
            little = len(rest) < LEAST_MIN_LENGTH or _is_pattern(rest)
            if len(word) >= _SHORTEST_WORD and word in folded and little:
                raise WeakPassword(
                    "This password is little more than a common one or a name; choose another."
                )


def _core(text: str) -> str:
    """Return the word without what people put around it, so that it looks like another."""
    first = min((at for at in map(text.find, ascii_lowercase) if at >= 0), default=0)
    return text[first : max(map(text.rfind, ascii_lowercase)) + 1]


def _is_pattern(text: str) -> bool:
    if len(text) >= LEAST_MIN_LENGTH and len(set(text)) < _FEWEST_CHARACTERS:
        return True
    return len(_unit(text)) < min(LEAST_MIN_LENGTH, len(text)) or _is_run(text)


def _unit(text: str) -> str:
    """Return the shortest text that gives this one when it is repeated, the last time in part.

    A unit of more than `_LONGEST_UNIT` characters is not looked for: the text itself is returned.
    """
    lengths = range(1, min(len(text), _LONGEST_UNIT) + 1)
    return next((text[:length] for length in lengths if text.startswith(text[length:])), text)


def _is_run(text: str) -> bool:
    """Say whether each character follows the one before it, up or down; after 9 comes 0."""
    steps = {
        (ord(b) - ord(a)) % 10 if (a + b).isdecimal() else ord(b) - ord(a)
        for a, b in pairwise(text)
    }
    return steps in ({1}, {-1}, {9})
