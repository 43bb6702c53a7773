"""Accounts in SQL."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.repositories.session_statements import end_sessions, has_password
from ordergate.adapters.sql.tables import (
    CLOSED,
    EXTERNAL,
    NO_HASH,
    ExternalSubjectRow,
    SessionRow,
    UserRow,
)
from ordergate.application.errors import AccountHasOpenOrders, StorageUnavailable, UsernameTaken
from ordergate.application.ports.users import PasswordChange, UserRepository
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username


class SqlUserRepository(UserRepository):
    """The table `users`, whose unique name decides races.

    `external_subjects` maps the subjects of another issuer to accounts.
    `has_open_orders` matches where the orders of the same database keep an account open.
    """

    def __init__(
        self, database: Database, *, has_open_orders: Callable[[UserId], ColumnElement[bool]]
    ) -> None:
        self._database = database
        self._has_open_orders = has_open_orders

    async def find(self, username: Username) -> User | None:
        """Read one row by its unique name."""
        query = select(col(UserRow.id), col(UserRow.password_hash)).where(
            col(UserRow.username) == username.value, col(UserRow.password_hash) != NO_HASH
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return User(UserId(row.id), username, PasswordHash(row.password_hash)) if row else None

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Insert one row."""
        values = {"username": username.value, "password_hash": password_hash}
        try:
            user_id = await self._database.write(lambda connection: _insert(connection, values))
            return User(user_id, username, password_hash)
        except IntegrityError:
            raise UsernameTaken from None

    async def get(self, user_id: UserId) -> User | None:
        """Read one row by its key, if the account is open."""
        query = select(col(UserRow.username), col(UserRow.password_hash)).where(
            col(UserRow.id) == user_id
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None or row.username.startswith((CLOSED, EXTERNAL)):
            return None
        return User(user_id, Username(row.username), PasswordHash(row.password_hash))

    async def list_accounts(self, *, after: UserId, limit: int) -> Sequence[User]:
        """Read the rows that follow a key."""
        query = (
            select(col(UserRow.id), col(UserRow.username), col(UserRow.password_hash))
            .where(col(UserRow.id) > after, col(UserRow.password_hash) != NO_HASH)
            .order_by(col(UserRow.id))
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            User(UserId(row.id), Username(row.username), PasswordHash(row.password_hash))
            for row in rows
        ]

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Update the row on condition of its old hash."""

        def work(connection: Connection) -> bool:
            self._database.take_turn(connection, user_id)
            return _update(connection, user_id, old, password_hash=new)

        return await self._database.write(work)

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        """Update the user's row and the sessions in one transaction."""
        others = and_(
            col(SessionRow.user_id) == change.user, col(SessionRow.id) != (change.keep or "")
        )

        def work(connection: Connection) -> list[SessionId] | None:
            self._database.take_turn(connection, change.user)
            if not _update(connection, change.user, change.old, password_hash=change.new):
                return None
            return end_sessions(connection, others, change.reason, change.at)

        return await self._database.write(work)

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        """Overwrite name and hash, and end the sessions, in one transaction."""
        open_orders = select(self._has_open_orders(user_id))

        def work(connection: Connection) -> list[SessionId] | None:
            erased = {"username": f"{CLOSED}{user_id}", "password_hash": NO_HASH}
            self._database.take_turn(connection, user_id)
            if not _update(connection, user_id, password_hash, **erased):
                return None
            if connection.scalar(open_orders):
                raise AccountHasOpenOrders
            return end_sessions(
                connection, col(SessionRow.user_id) == user_id, SessionEndReason.ACCOUNT_CLOSED, at
            )

        return await self._database.write(work)

    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        """Read the row, or write both; the key decides races.

        The row may be of an unconfirmed attempt. If it were lost after its id was returned, another
        account would get this id.
        """
        query = select(col(ExternalSubjectRow.user_id)).where(
            col(ExternalSubjectRow.issuer) == issuer, col(ExternalSubjectRow.subject) == subject
        )

        def find(connection: Connection) -> UserId | None:
            row = connection.execute(query).one_or_none()
            return UserId(row.user_id) if row else None

        def add(connection: Connection) -> UserId:
            user_id = _insert(connection, _make_row_without_sign_in())
            values = {"issuer": issuer, "subject": subject, "user_id": user_id}
            connection.execute(insert(ExternalSubjectRow).values(values))
            return user_id

        known = await self._database.confirmed(find)
        if known is not None:
            return known
        try:
            return await self._database.write(add, repeatable=True)
        except IntegrityError:  # another attempt was first, and has committed
            known = await self._database.confirmed(find)
        if known is None:
            raise StorageUnavailable("the account of a subject was removed during its creation")
        return known


def _insert(connection: Connection, values: dict[str, str]) -> UserId:
    inserted = connection.execute(insert(UserRow).values(values))
    (user_id,) = cast("tuple[int]", inserted.inserted_primary_key)  # of one row, it is never None
    return UserId(user_id)


def _update(connection: Connection, user_id: UserId, old: PasswordHash, **values: str) -> bool:
    statement = update(UserRow).where(has_password(user_id, old)).values(values)
    return connection.execute(statement).rowcount == 1


def _make_row_without_sign_in() -> dict[str, str]:
    """Return the row of an account that no password opens."""
    return {"username": f"{EXTERNAL}{uuid.uuid4().hex}", "password_hash": NO_HASH}
