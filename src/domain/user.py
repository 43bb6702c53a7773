"""Accounts, user names and passwords.

Names and passwords are prepared by RFC 8265 (PRECIS), so texts that look the same are the same:
whatever keys composed an é, and, for names, whatever the case or width of the letters. Rules apply
to new names and passwords only. Users with names and passwords of other rules, from another version
of this program or of Unicode, can still sign in.
"""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import NewType, Self

from ordergate.domain.characters import MAX_MARKS, character_at, is_quickly_normalized
from ordergate.domain.errors import InvalidPassword, InvalidUsername

UserId = NewType("UserId", int)
"""The identity of a user: 1 to `MAX_ID`, never reused."""

PasswordHash = NewType("PasswordHash", str)
"""A password hash in modular crypt format, such as `$2b$12$…`.

`!` in front disables the account, as in shadow(5): no password matches such a hash.
"""

_DISABLED = "!"

MAX_ID = 2**63 - 1
MAX_USERNAME_LENGTH = 64
MAX_PASSWORD_BYTES = 4096
_MAX_TYPED_LENGTH = 4 * MAX_USERNAME_LENGTH
"""The longest text that is prepared as a name; preparation may shorten it."""

_LETTERS_AND_DIGITS = frozenset({"Ll", "Lu", "Lo", "Lm", "Mn", "Mc", "Nd"})
_NEVER_IN_NAMES = tuple(
    range(first, last + 1)
    for first, last in [
        (0x034F, 0x034F), (0x0640, 0x0640), (0x07FA, 0x07FA), (0x1100, 0x11FF), (0x17B4, 0x17B5),
        (0x180B, 0x180F), (0x302E, 0x302F), (0x3031, 0x3035), (0x303B, 0x303B), (0xA960, 0xA97F),
        (0xD7B0, 0xD7FF), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF),
    ]
)  # fmt: skip
"""Letters and marks that RFC 8264, sections 9.6, 9.9 and 9.13, excludes: invisible, or old Jamo."""
_DIGITS_APART = frozenset({"ARABIC-INDIC", "EXTENDED ARABIC-INDIC"})
"""Digits that look alike and must not be mixed (RFC 5892, appendices A.8 and A.9)."""
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_NEUTRAL = frozenset({"EN", "ES", "CS", "ET", "ON", "BN", "NSM"})
_NEVER_IN_PASSWORDS = frozenset({"Cc", "Co", "Zl", "Zp"})
_NEVER_STORED = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Username:
    """The stored name of an account, whatever rules it follows."""

    value: str

    @classmethod
    def new(cls, text: str) -> Self:
        """Check and prepare the name of a new account.

        It has 1 to `MAX_USERNAME_LENGTH` letters, digits and ASCII punctuation, in the form of RFC
        8265's UsernameCaseMapped: full- and half-width letters become ordinary ones, upper case
        becomes lower, and the result is in normal form C. Names with right-to-left letters follow
        RFC 5893's Bidi rule, so they are displayed in the order in which they are stored. Raises
        `InvalidUsername`.
        """
        if len(text) > _MAX_TYPED_LENGTH:
            raise InvalidUsername(
                f"A user name must have at most {MAX_USERNAME_LENGTH} characters."
            )
        if not is_quickly_normalized(text):
            raise InvalidUsername(f"A user name must have at most {MAX_MARKS} marks on one letter.")
        name = _prepare(text)
        if not 0 < len(name) <= MAX_USERNAME_LENGTH:
            raise InvalidUsername(f"A user name must have 1 to {MAX_USERNAME_LENGTH} characters.")
        for place, character in enumerate(name):
            if not _is_in_identifier(character):
                raise InvalidUsername(
                    "A user name has letters, digits and ASCII punctuation, and no spaces;"
                    f" it cannot have {character_at(name, place)}."
                )
        if (
            not _keeps_bidi_rule(name)
            or len(_DIGITS_APART.intersection(map(_name_digits, name))) > 1
        ):
            raise InvalidUsername(
                "A user name must not mix letters or digits of different directions."
            )
        return cls(name)

    @classmethod
    def list_spellings(cls, text: str) -> tuple[Self, ...]:
        """Return the names under which a typed name may be stored.

        The first is the text itself, the second its prepared form if that differs. No rule is
        applied, because the stored name may follow other rules. Text that no storage holds has no
        spelling: text that is too long, has too many marks on a letter, or contains NUL or a
        surrogate.
        """
        if (
            not 0 < len(text) <= _MAX_TYPED_LENGTH
            or _NEVER_STORED.search(text)
            or not is_quickly_normalized(text)
        ):
            return ()
        return tuple(dict.fromkeys((cls(text), cls(_prepare(text)))))

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Password:
    """A password in the form of RFC 8265's OpaqueString, which is hashed.

    Every space becomes an ASCII space, and the text is in normal form C; nothing else is changed.
    `repr` omits the text.
    """

    secret: str = field(repr=False)

    @classmethod
    def new(cls, text: str) -> Self:
        """Check and prepare a new password: 1 to `MAX_PASSWORD_BYTES` bytes of UTF-8.

        Raises `InvalidPassword` for control characters, and for unassigned characters: another
        version of Unicode may normalize them differently and lock the user out. Format characters
        are allowed beyond RFC 8264, because they join emoji.
        """
        password = cls.guess(text)
        for category in map(unicodedata.category, password.secret):
            if category == "Cn":
                raise InvalidPassword(
                    "A password cannot contain a character that is not in Unicode"
                    f" {unicodedata.unidata_version}, such as a newer emoji; choose another."
                )
            if category in _NEVER_IN_PASSWORDS:
                raise InvalidPassword("A password cannot contain control characters.")
        return password

    @classmethod
    def guess(cls, text: str) -> Self:
        """Prepare text for a comparison with a stored password of any rules.

        Raises `InvalidPassword` for text that cannot be a password: empty, too long, or with NUL or
        a surrogate.
        """
        if len(text) > MAX_PASSWORD_BYTES:
            raise InvalidPassword(f"A password must have at most {MAX_PASSWORD_BYTES} bytes.")
        if _NEVER_STORED.search(text):
            raise InvalidPassword("A password cannot contain NUL or a surrogate.")
        if not is_quickly_normalized(text):
            raise InvalidPassword(f"A password must have at most {MAX_MARKS} marks on one letter.")
        spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
        secret = unicodedata.normalize("NFC", spaced)
        if not secret:
            raise InvalidPassword("A password cannot be empty.")
        if len(secret.encode()) > MAX_PASSWORD_BYTES:
            raise InvalidPassword(f"A password must have at most {MAX_PASSWORD_BYTES} bytes.")
        return cls(secret)


@dataclass(frozen=True, slots=True)
class User:
    """An account. `repr` omits the hash."""

    id: UserId
    username: Username
    password_hash: PasswordHash = field(repr=False)

    @property
    def is_disabled(self) -> bool:
        """Whether every password is refused."""
        return self.password_hash.startswith(_DISABLED)

    def disabled(self) -> Self:
        """Return a copy that refuses every password, and remembers the hash."""
        return replace(self, password_hash=PasswordHash(_DISABLED + self.enabled().password_hash))

    def enabled(self) -> Self:
        """Return a copy that accepts its password."""
        return replace(self, password_hash=PasswordHash(self.password_hash.removeprefix(_DISABLED)))


def _prepare(text: str) -> str:
    """Prepare a name by RFC 8265, section 3.3.2, without refusing any."""
    narrow = "".join(map(_narrow, text))
    return unicodedata.normalize("NFC", narrow.lower())


def _narrow(character: str) -> str:
    """Map a full- or half-width character to its ordinary form (RFC 8265, section 3.3.3)."""
    kind = unicodedata.decomposition(character).split(" ", 1)[0]
    return unicodedata.normalize("NFKC", character) if kind in {"<wide>", "<narrow>"} else character


def _keeps_bidi_rule(name: str) -> bool:
    """Report whether a name with right-to-left letters follows RFC 5893, section 2."""
    kinds = [unicodedata.bidirectional(character) for character in name]
    if _RIGHT_TO_LEFT.isdisjoint(kinds):
        return True
    last = next((kind for kind in reversed(kinds) if kind != "NSM"), "")
    return (
        kinds[0] in {"R", "AL"}
        and (_RIGHT_TO_LEFT | _NEUTRAL).issuperset(kinds)
        and last in _RIGHT_TO_LEFT | {"EN"}
        and not {"EN", "AN"} <= set(kinds)
    )


def _name_digits(character: str) -> str:
    """Return the script of a digit: the first words of its name."""
    return unicodedata.name(character, "").partition(" DIGIT ")[0]


def _is_in_identifier(character: str) -> bool:
    """Report whether RFC 8264's IdentifierClass has a character without a contextual rule."""
    if character.isascii():
        return "!" <= character <= "~"
    return (
        unicodedata.category(character) in _LETTERS_AND_DIGITS
        and not any(ord(character) in never for never in _NEVER_IN_NAMES)
        and unicodedata.normalize("NFKC", character) == character
    )
