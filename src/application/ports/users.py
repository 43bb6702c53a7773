"""Accounts."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username

MAX_SUBJECT_LENGTH = 255
"""The maximum of subjects (OpenID Connect Core, section 2), and of issuers."""


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """A new password hash of a user.

    It ends all sessions except `keep` at `at`, for `reason`.
    """

    user: UserId
    old: PasswordHash = field(repr=False)
    new: PasswordHash = field(repr=False)
    keep: SessionId | None
    at: datetime
    reason: SessionEndReason = SessionEndReason.PASSWORD_CHANGED


class UserRepository(Protocol):
    """Accounts. Every method may raise `StorageUnavailable`."""

    @abstractmethod
    async def find(self, username: Username) -> User | None:
        """Return the account with this name, if it exists."""

    @abstractmethod
    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Create an account with a new id. Raises `UsernameTaken`."""

    @abstractmethod
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Replace the hash `old` by a new one; return whether it matched."""

    @abstractmethod
    async def get(self, user_id: UserId) -> User | None:
        """Return the account with this id, if it is open."""

    @abstractmethod
    async def list_accounts(self, *, after: UserId, limit: int) -> Sequence[User]:
        """Return up to `limit` open accounts with ids above `after`, by id.

        Accounts of external subjects are omitted.
        """

    @abstractmethod
    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        """Replace the hash and end the user's sessions except `keep`.

        Both happen in one transaction. Returns the ended sessions, or `None` if the stored hash is
        not `old`; nothing is changed then.
        """

    @abstractmethod
    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        """Close the account: end its sessions and erase its name and hash.

        Its orders stay without a name. The id is never assigned again; the name may be. Returns the
        ended sessions, or `None` if the stored hash differs; nothing is changed then.

        A storage that keeps the orders too checks them in the same step. It raises
        `AccountHasOpenOrders`, and changes nothing, while an order is neither delivered nor
        cancelled.
        """

    @abstractmethod
    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        """Return the account of an external subject, or create it.

        Issuer and subject are text of 1 to `MAX_SUBJECT_LENGTH` characters, compared exactly (RFC
        7519, section 4.1.2). Parallel calls get the same account. It has no user name and no
        password, so it cannot sign in here.
        """
