"""Accounts in dictionaries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from ordergate.adapters.memory.tables import Tables
from ordergate.application.errors import AccountHasOpenOrders, UsernameTaken
from ordergate.application.ports.users import PasswordChange, UserRepository
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username


class InMemoryUserRepository(UserRepository):
    """Accounts by id."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find(self, username: Username) -> User | None:
        """Scan all accounts."""
        users = self._tables.users.values()
        return next((user for user in users if user.username == username), None)

    async def get(self, user_id: UserId) -> User | None:
        """Look up the id."""
        return self._tables.users.get(user_id)

    async def list_accounts(self, *, after: UserId, limit: int) -> Sequence[User]:
        """Sort the accounts by id."""
        users = sorted(self._tables.users.values(), key=lambda user: user.id)
        return [user for user in users if user.id > after][:limit]

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Create the account with the next free id."""
        if await self.find(username):
            raise UsernameTaken
        user_id = self._choose_free_id()
        user = self._tables.users[user_id] = User(user_id, username, password_hash)
        return user

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Replace the hash if it is still the old one."""
        user = self._tables.users.get(user_id)
        if user is None or user.password_hash != old:
            return False
        self._tables.users[user_id] = replace(user, password_hash=new)
        return True

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        """Replace the hash and end the other sessions."""
        if not await self.replace_password_hash(change.user, old=change.old, new=change.new):
            return None
        others = [s for s in self._tables.list_user_sessions(change.user) if s.id != change.keep]
        return self._tables.end(others, change.reason, change.at)

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        """Remove the account and keep its id."""
        user = self._tables.users.get(user_id)
        if user is None or user.password_hash != password_hash:
            return None
        if self._tables.has_open_orders(user_id):
            raise AccountHasOpenOrders
        del self._tables.users[user_id]
        self._tables.closed.add(user_id)
        return self._tables.end(
            self._tables.list_user_sessions(user_id), SessionEndReason.ACCOUNT_CLOSED, at
        )

    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        """Look up the pair, or store it with the next free id."""
        if (issuer, subject) not in self._tables.subjects:
            user = self._tables.subjects[issuer, subject] = self._choose_free_id()
            self._tables.external.add(user)
        return self._tables.subjects[issuer, subject]

    def _choose_free_id(self) -> UserId:
        tables = self._tables
        return next(UserId(i) for i in count(1) if not tables.has_account(UserId(i)))
