"""Sessions: from a sign-in to its end, with all tokens in between."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from ordergate.domain.user import UserId

SessionId = NewType("SessionId", str)
"""The identity of a session: a random UUID as 32 hexadecimal digits."""


class SessionEndReason(StrEnum):
    """The reason why a session ended before it expired."""

    REVOKED = "revoked"
    SIGNED_OUT = "signed out"
    REUSE = "reuse of a refresh token"
    PASSWORD_CHANGED = "password changed"
    ACCOUNT_CLOSED = "account closed"
    TOO_MANY = "too many sessions"
    ACCOUNT_DISABLED = "account disabled"
    ENDED_BY_STAFF = "ended by staff"


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in of `user` through `client_id` from `address`, which granted `scope`.

    The words of the scope are values of `Scope`, or of another version of this program. Times are
    in UTC. `last_used_at` is the time of the latest sign-in or refresh. The session cannot be
    renewed from `expires_at` on.
    """

    id: SessionId
    user: UserId
    client_id: str
    address: str
    scope: frozenset[str]
    started_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Lifetimes of sessions and tokens, and the number of sessions.

    A refresh token expires when it is unused for `idle`, and a session after `lifetime`. For
    `grace` after a refresh, the old token returns the same new token again. A sign-in beyond
    `limit` active sessions of a user, at most `MAX_SESSIONS`, ends the sessions that expire first.
    """

    idle: timedelta
    lifetime: timedelta
    grace: timedelta
    limit: int


MAX_SESSIONS = 1_000
