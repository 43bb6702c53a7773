"""Accounts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from ordergate.application.errors import AccountHasOpenOrders, StorageUnavailable, UsernameTaken
from ordergate.application.ports.archive import AccountKind, AccountRecord, SubjectRecord
from ordergate.application.ports.users import PasswordChange, UserRepository
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username

from .database import LmdbDatabase
from .keys import account_key, encode_number, list_prefix, name_key, subject_key
from .records import ACCOUNTS, ORDERS, SUBJECTS, find_open_account
from .sessions import end_sessions, list_sessions
from .transactions import Transaction


class LmdbUserRepository(UserRepository):
    """Accounts by id, and keys by name that lead to them."""

    def __init__(self, database: LmdbDatabase) -> None:
        self._database = database

    async def find(self, username: Username) -> User | None:
        """Follow the name."""
        return self._database.read(lambda view: to_user(ACCOUNTS.at(view, name_key(username))))

    async def get(self, user_id: UserId) -> User | None:
        """Look the id up."""
        return self._database.read(lambda view: to_user(ACCOUNTS.get(view, account_key(user_id))))

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Write the account, if no key leads from its name."""

        def work(view: Transaction) -> User:
            if view.get(name_key(username)):
                raise UsernameTaken
            user = User(find_free_id(view), username, password_hash)
            ACCOUNTS.put(view, to_account_record(user))
            return user

        return await self._database.write(work)

    async def list_accounts(self, *, after: UserId, limit: int) -> Sequence[User]:
        """Read named accounts from the next id on."""

        def work(view: Transaction) -> list[User]:
            stored = view.scan(ACCOUNTS.kind, start=encode_number(after + 1))
            users = (to_user(ACCOUNTS.read(value)) for _, value in stored)
            return list(islice((user for user in users if user), limit))

        return self._database.read(work)

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Write the account again if the hash is still the old one."""
        return await self._database.write(lambda view: replace_hash(view, user_id, old, new))

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        """Write the account again, and the other sessions."""

        def work(view: Transaction) -> list[SessionId] | None:
            if not replace_hash(view, change.user, change.old, change.new):
                return None
            sessions = list_sessions(view, change.user)
            others = [each for each in sessions if each.session.id != change.keep]
            return end_sessions(view, others, change.reason, change.at)

        return await self._database.write(work)

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        """Empty the account, which frees its name, and end its sessions."""
        orders = list_prefix(user_id, None)

        def work(view: Transaction) -> list[SessionId] | None:
            if not find_open_account(view, user_id, password_hash):
                return None
            if any(order.is_open for order in ORDERS.along(view, orders)):
                raise AccountHasOpenOrders
            ACCOUNTS.put(view, AccountRecord(user_id, AccountKind.CLOSED))
            return end_sessions(
                view, list_sessions(view, user_id), SessionEndReason.ACCOUNT_CLOSED, at
            )

        return await self._database.write(work)

    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        """Look the subject up, or write it with a new account."""
        key = subject_key(issuer, subject)

        def work(view: Transaction) -> UserId:
            if there := SUBJECTS.get(view, key):
                return there.user
            user_id = find_free_id(view)
            ACCOUNTS.put(view, AccountRecord(user_id, AccountKind.EXTERNAL))
            SUBJECTS.put(view, SubjectRecord(issuer, subject, user_id))
            return user_id

        known = self._database.read(lambda view: SUBJECTS.get(view, key))
        return known.user if known else await self._database.write(work)


def to_user(account: AccountRecord | None) -> User | None:
    if account is None or account.username is None or account.password_hash is None:
        return None
    return User(account.id, account.username, account.password_hash)


def to_account_record(user: User) -> AccountRecord:
    return AccountRecord(user.id, AccountKind.OPEN, user.username, user.password_hash)


def replace_hash(view: Transaction, user_id: UserId, old: PasswordHash, new: PasswordHash) -> bool:
    account = find_open_account(view, user_id, old)
    if account:
        ACCOUNTS.put(view, replace(account, password_hash=new))
    return account is not None


def find_free_id(view: Transaction) -> UserId:
    last = int.from_bytes(view.last(ACCOUNTS.kind))
    if last == MAX_ID:
        raise StorageUnavailable("no user id is left")
    return UserId(last + 1)
