"""A session: what begins when somebody signs in, and every token of it ends with."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from ordergate.domain.user import UserId

SessionId = NewType("SessionId", str)
"""Identity of a session: a random UUID as 32 hexadecimal digits."""


class SessionEndReason(StrEnum):
    """Why a session ended before its time."""

    REVOKED = "revoked"
    SIGNED_OUT = "signed out"
    REUSE = "reuse of a refresh token"
    PASSWORD_CHANGED = "password changed"
    ACCOUNT_CLOSED = "account closed"
    TOO_MANY = "too many sessions"


@dataclass(frozen=True, slots=True)
class Session:
    """The user `user` signed in through `client_id` at `address` and granted it `scope`.

    The words of the scope are values of `Scope`, or known to another version of this program alone.
    Times are in UTC. `last_used_at` is that of the latest sign-in or refresh; nothing is renewed
    from `expires_at` on.
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
    """How long sessions live, and how many.

    A refresh token that is not used for `idle` is void; after `lifetime` somebody must sign in
    again; and for `grace` after a refresh, the old token gives the same new one again. A sign-in
    beyond `limit` active sessions of a user, `MAX_SESSIONS` at most, ends those that expire first.
    """

    idle: timedelta
    lifetime: timedelta
    grace: timedelta
    limit: int


MAX_SESSIONS = 1_000
