"""Accounts."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ordergate.domain.session import SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username


class UserRepository(Protocol):
    """Accounts. Raises `StorageUnavailable` from any method."""

    @abstractmethod
    async def find(self, username: Username) -> User | None:
        """Return the account of that name, if there is one."""

    @abstractmethod
    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Open an account under a new id. Raises `UsernameTaken`."""

    @abstractmethod
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Store a new hash if the stored one still is `old`, in one step; say whether it was."""

    @abstractmethod
    async def get(self, user_id: UserId) -> User | None:
        """Return the account with that id, if it is open."""

    @abstractmethod
    async def change_password(
        self,
        user_id: UserId,
        *,
        old: PasswordHash,
        new: PasswordHash,
        keep: SessionId | None,
        at: datetime,
    ) -> Sequence[SessionId] | None:
        """Do as `replace_password_hash`, and in the same step end the user's sessions but `keep`.

        Returns the sessions it ended, or `None` when the hash was another and nothing was done.
        """

    @abstractmethod
    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        """Close the account if its hash still is this: end its sessions, erase its name and hash.

        Its orders stay and name nobody; the id is never given again, the name may be. Returns the
        sessions it ended, or `None` when the hash was another and nothing was done. Raises
        `AccountHasOpenOrders`, and does nothing, while an order is neither delivered nor cancelled.
        """

    @abstractmethod
    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        """Return the account of a subject of another issuer, opened on first sight.

        Both are text of 1 to 255 characters, compared exactly (RFC 7519, section 4.1.2); of many
        who ask in parallel all get the same account. It has no user name and no password, so nobody
        signs in to it here.
        """
