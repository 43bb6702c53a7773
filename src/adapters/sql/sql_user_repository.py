"""Accounts in SQL."""

import uuid

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from adapters.sql.sqlite_database import SqliteDatabase
from adapters.sql.tables import ExternalSubjectRow, UserRow
from application.errors import UsernameTaken
from application.ports import UserRepository
from domain.user import PasswordHash, User, UserId, Username


class SqlUserRepository(UserRepository):
    """The table `users`; the unique name decides who was first.

    `external_subjects` leads to the accounts of people whom another issuer knows.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find(self, username: Username) -> User | None:
        """Read one row by its unique name."""
        query = select(col(UserRow.id), col(UserRow.password_hash)).where(
            col(UserRow.username) == username.value
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return User(UserId(row.id), username, PasswordHash(row.password_hash)) if row else None

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Insert one row."""
        values = {"username": username.value, "password_hash": password_hash}
        statement = insert(UserRow).values(values).returning(col(UserRow.id))
        try:
            row = await self._database.write(lambda connection: connection.execute(statement).one())
            return User(UserId(row.id), username, password_hash)
        except IntegrityError:
            raise UsernameTaken from None

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Update the row on condition of its old value."""
        statement = (
            update(UserRow)
            .where(col(UserRow.id) == user_id, col(UserRow.password_hash) == old)
            .values(password_hash=new)
        )
        return await self._database.write(
            lambda connection: connection.execute(statement).rowcount == 1
        )

    async def of_subject(self, issuer: str, subject: str) -> UserId:
        """Read the row, or write both: the write lock decides who was first."""
        query = select(col(ExternalSubjectRow.user_id)).where(
            col(ExternalSubjectRow.issuer) == issuer, col(ExternalSubjectRow.subject) == subject
        )

        def find(connection: Connection) -> UserId | None:
            row = connection.execute(query).one_or_none()
            return UserId(row.user_id) if row else None

        def find_or_add(connection: Connection) -> UserId:
            if (known := find(connection)) is not None:
                return known
            account = insert(UserRow).values(_nobodys()).returning(col(UserRow.id))
            user_id = UserId(connection.execute(account).one().id)
            values = {"issuer": issuer, "subject": subject, "user_id": user_id}
            connection.execute(insert(ExternalSubjectRow).values(values))
            return user_id

        known = await self._database.read(find)
        return await self._database.write(find_or_add) if known is None else known


def _nobodys() -> dict[str, str]:
    """Return the row of an account that nobody can sign in to here.

    TODO(merge): username=None, once users.username may be NULL. Until then it is a name that
    nobody can have, because no `Username` holds a control character; the hash fits no password.
    """
    return {"username": f"\0external:{uuid.uuid4().hex}", "password_hash": "!"}
