"""Accounts in SQL."""

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from adapters.sql.sqlite_database import SqliteDatabase
from adapters.sql.tables import UserRow
from application.errors import UsernameTaken
from application.ports import UserRepository
from domain.user import PasswordHash, User, UserId, Username


class SqlUserRepository(UserRepository):
    """The table `users`; the unique name decides who was first."""

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
