"""Sessions and refresh tokens in SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    select,
)
from sqlmodel import col

from ordergate.adapters.sql.database import Database, SessionWriter
from ordergate.adapters.sql.repositories.session_statements import (
    active_at,
    add_token,
    end_sessions,
    end_surplus,
    has_password,
    rotate,
)
from ordergate.adapters.sql.rows import readable, row_to_session, session_to_row
from ordergate.adapters.sql.tables import RefreshTokenRow, SessionRow, UserRow
from ordergate.application.ports.sessions import (
    Forgotten,
    NewSession,
    Rotation,
    RotationOutcome,
    SessionRepository,
    TokenExchange,
)
from ordergate.domain.address import find_client_network
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import UserId

_SESSION = (
    col(SessionRow.id),
    col(SessionRow.user_id),
    col(SessionRow.client_id),
    col(SessionRow.address),
    col(SessionRow.scope),
    col(SessionRow.started_at),
    col(SessionRow.last_used_at),
    col(SessionRow.expires_at),
)


class SqlSessionRepository(SessionRepository):
    """The tables `sessions` and `refresh_tokens`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = database if isinstance(database, SessionWriter) else None

    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        """Insert the session after locking the user's row with its hash."""
        still = (
            select(col(UserRow.id))
            .where(has_password(new.session.user, new.password_hash))
            .with_for_update(read=True)
        )

        def work(connection: Connection) -> Sequence[SessionId] | None:
            self._database.take_turn(connection, new.session.user)
            if connection.scalar(still) is None:
                return None
            surplus = end_surplus(connection, new.session, limit)
            connection.execute(insert(SessionRow), session_to_row(new.session))
            add_token(connection, new.token, new.session.id, new.token_expires_at)
            return surplus

        if self._writer is None:
            return await self._database.write(work)
        return await self._writer.start_session(new, limit=limit, otherwise=work)

    async def get_by_refresh_token(self, token: TokenDigest) -> Session | None:
        """Join the token with its session."""
        query = (
            select(*_SESSION)
            .join(RefreshTokenRow, col(RefreshTokenRow.session_id) == SessionRow.id)
            .where(col(RefreshTokenRow.digest) == token)
        )
        found = await self._list_sessions(query)
        return found[0] if found else None

    async def is_used(self, token: TokenDigest) -> bool:
        """Read one row by its key."""
        query = select(col(RefreshTokenRow.used_at)).where(col(RefreshTokenRow.digest) == token)
        return await self._database.read(lambda c: c.scalar(query)) is not None

    async def rotate(self, exchange: TokenExchange) -> Rotation:
        """Update the unused token after locking the session's row."""

        def work(connection: Connection) -> Rotation:
            return rotate(connection, exchange)

        if self._writer is None:
            return await self._database.write(work)
        rotated = Rotation(RotationOutcome.ROTATED, exchange.sealed)
        return await self._writer.rotate_token(exchange, rotated=rotated, otherwise=work)

    async def list_active(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Read a user's active rows that have an unexpired token."""
        renewable = exists().where(
            col(RefreshTokenRow.session_id) == SessionRow.id,
            col(RefreshTokenRow.used_at).is_(None),
            col(RefreshTokenRow.expires_at) > at,
        )
        query = select(*_SESSION).where(col(SessionRow.user_id) == user, active_at(at), renewable)
        return await self._list_sessions(
            query.order_by(col(SessionRow.last_used_at).desc()).limit(limit), large=True
        )

    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Read one row by its key."""
        values = {"session": session, "user": user, "at": at}
        return bool(await self._database.rows(_ACTIVE, values))

    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        """Search for a row, active or not."""
        site = find_client_network(address)
        query = (
            select(literal(1))
            .where(col(SessionRow.user_id) == user, col(SessionRow.site) == site)
            .limit(1)
        )
        return bool(await self._database.read(lambda c: c.execute(query).first()))

    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Read one row by its key, once it cannot be lost."""
        query = select(col(RefreshTokenRow.sealed_successor)).where(
            col(RefreshTokenRow.digest) == token
        )

        def find(connection: Connection) -> bytes | None:
            sealed: bytes | None = connection.scalar(query)
            return sealed

        if await self._database.read(find) is None:
            return None
        return await self._database.confirmed(find)

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        """Update the row if it is active and the user's."""
        mine = and_(col(SessionRow.id) == session, col(SessionRow.user_id) == user)
        return bool(await self._end(mine, reason, at))

    async def end_all(
        self, user: UserId, *, reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        """Update all active rows of the user."""
        return await self._end(col(SessionRow.user_id) == user, reason, at)

    async def _end(
        self, which: ColumnElement[bool], reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        ended = await self._database.write(lambda c: end_sessions(c, which, reason, at))
        if not ended:
            # An earlier attempt may have ended them, and callers report them as ended.
            over = select(literal(1)).where(which).limit(1)
            await self._database.confirmed(lambda c: c.scalar(over))
        return ended

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Read by the index on the end time."""
        query = select(col(SessionRow.id), col(SessionRow.ended_at)).where(
            col(SessionRow.ended_at) >= at
        )
        rows = await self._database.read(lambda c: c.execute(query).all(), shared=True)
        # An unreadable time must not keep the session's tokens valid.
        return {
            SessionId(row.id): row.ended_at if isinstance(row.ended_at, datetime) else at
            for row in rows
        }

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        """Select sessions by the index on each time; delete tokens first."""

        def work(connection: Connection) -> Forgotten:
            sessions = tokens = 0
            # A single OR would scan the whole table, because bitmaps are off on PostgreSQL.
            for time in (col(SessionRow.ended_at), col(SessionRow.expires_at)):
                room = limit - sessions - tokens
                over = (
                    select(col(SessionRow.id))
                    .where(time <= over_by)
                    .order_by(time)
                    .limit(room)
                    .with_for_update(skip_locked=True)  # for another that forgets
                )
                ids = connection.scalars(over).all()
                of_these = (
                    select(col(RefreshTokenRow.digest))
                    .where(col(RefreshTokenRow.session_id).in_(ids))
                    .limit(room)
                )
                digests = connection.scalars(of_these).all()
                _delete_each(connection, _FORGET_TOKEN, digests)
                # If the limit is not reached, these sessions have no tokens left.
                emptied = ids[: room - len(digests)]
                _delete_each(connection, _FORGET_SESSION, emptied)
                tokens += len(digests)
                sessions += len(emptied)
            return Forgotten(sessions, tokens)

        return await self._database.write(work)

    async def _list_sessions(
        self, query: Select[*tuple[Any, ...]], *, large: bool = False
    ) -> list[Session]:
        return await self._database.read(
            lambda c: list(readable(c.execute(query).all(), row_to_session)), large=large
        )


_FORGET_TOKEN = delete(RefreshTokenRow).where(col(RefreshTokenRow.digest) == bindparam("key"))
_FORGET_SESSION = delete(SessionRow).where(col(SessionRow.id) == bindparam("key"))


def _delete_each(connection: Connection, statement: Delete, keys: Sequence[str | bytes]) -> None:
    if keys:
        connection.execute(statement, [{"key": key} for key in keys])


_ACTIVE = select(col(SessionRow.id)).where(
    col(SessionRow.id) == bindparam("session"),
    col(SessionRow.user_id) == bindparam("user"),
    active_at(bindparam("at")),
)
