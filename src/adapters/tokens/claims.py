"""The claims of a verified token, each read strictly."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from ordergate.adapters.tokens.keys.encoding import parse_json_object
from ordergate.adapters.tokens.verified_claims import VerifiedClaims
from ordergate.application.errors import InvalidToken
from ordergate.application.ports.users import MAX_SUBJECT_LENGTH
from ordergate.domain.session import SessionId
from ordergate.domain.user import MAX_ID, UserId

_NEVER_IN_SUBJECTS = frozenset({"Cc", "Cs"})
_SUBJECT = re.compile(r"[1-9][0-9]{0,18}")
_SESSION = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. Each method may raise `InvalidToken`."""

    members: dict[str, object] = field(repr=False)
    payload: bytes = field(repr=False)
    key_id: str | None = None

    @classmethod
    def from_payload(cls, payload: bytes, key_id: object = None) -> Self:
        """Read the payload of a verified token, signed by the key `key_id`."""
        kid = key_id if isinstance(key_id, str) else None
        try:
            return cls(parse_json_object(payload), payload, kid)
        except ValueError:
            raise InvalidToken("the claims are not a JSON object") from None

    def read_only(self) -> Mapping[str, object]:
        """Return all claims, for routes."""
        return VerifiedClaims(self.payload)

    def text(self, name: str) -> str:
        """Return a text claim."""
        value = self.members.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidToken(f"{name} is missing or not text")
        return value

    def seconds(self, name: str) -> float:
        """Return a NumericDate claim (RFC 7519, section 2)."""
        value = self.members.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidToken(f"{name} is missing or not a number")
        try:
            seconds = float(value)
        except OverflowError:
            raise InvalidToken(f"{name} is not a valid time") from None
        if not math.isfinite(seconds):
            raise InvalidToken(f"{name} is not a valid time")
        return seconds

    def user_id(self) -> UserId:
        """Return `sub` as a user id."""
        subject = self.text("sub")
        if not _SUBJECT.fullmatch(subject) or int(subject) > MAX_ID:
            raise InvalidToken("sub is not a user id")
        return UserId(int(subject))

    def subject(self) -> str:
        """Return another issuer's `sub`: 1 to 255 characters without controls."""
        subject = self.text("sub")
        if len(subject) > MAX_SUBJECT_LENGTH:
            raise InvalidToken(f"sub has more than {MAX_SUBJECT_LENGTH} characters")
        if not _NEVER_IN_SUBJECTS.isdisjoint(map(unicodedata.category, subject)):
            raise InvalidToken("sub has invalid characters")
        return subject

    def scope(self) -> frozenset[str]:
        """Return the scopes (RFC 9068, section 2.2.3), also those that no route requires."""
        scope = self.members.get("scope", "")
        if not isinstance(scope, str):
            raise InvalidToken("scope is not text")
        return frozenset(scope.split())

    def session(self) -> SessionId | None:
        """Return `sid`, if present."""
        if "sid" not in self.members:
            return None
        session = self.text("sid")
        if not _SESSION.fullmatch(session):
            raise InvalidToken("sid is not a session id")
        return SessionId(session)
