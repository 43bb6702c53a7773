"""Sessions and refresh tokens in SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
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
    update,
)
from sqlmodel import col

from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.rows import readable, row_to_session, session_to_row
from ordergate.adapters.sql.tables import NO_HASH, RefreshTokenRow, SessionRow, UserRow
from ordergate.application.ports.sessions import (
    Forgotten,
    Rotation,
    RotationOutcome,
    SessionRepository,
)
from ordergate.domain.address import client_network
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId

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

    async def start(
        self,
        session: Session,
        token: TokenDigest,
        *,
        token_expires_at: datetime,
        password_hash: PasswordHash,
        limit: int,
    ) -> Sequence[SessionId] | None:
        """Insert the session behind the user's row, whose hash cannot change meanwhile."""
        still = (
            select(col(UserRow.id))
            .where(has_password(session.user, password_hash))
            .with_for_update(read=True)
        )

        def work(connection: Connection) -> Sequence[SessionId] | None:
            if connection.scalar(still) is None:
                return None
            surplus = _end_surplus(connection, session, limit)
            connection.execute(insert(SessionRow), session_to_row(session))
            _add_token(connection, token, session.id, token_expires_at)
            return surplus

        return await self._database.write(work)

    async def get_by_refresh_token(self, token: TokenDigest) -> Session | None:
        """Join the token with its session."""
        query = (
            select(*_SESSION)
            .join(RefreshTokenRow, col(RefreshTokenRow.session_id) == SessionRow.id)
            .where(col(RefreshTokenRow.digest) == token)
        )
        found = await self._sessions(query)
        return found[0] if found else None

    async def is_used(self, token: TokenDigest) -> bool:
        """Read one row by its key."""
        query = select(col(RefreshTokenRow.used_at)).where(col(RefreshTokenRow.digest) == token)
        return await self._database.read(lambda c: c.scalar(query)) is not None

    async def rotate(
        self,
        old: TokenDigest,
        new: TokenDigest,
        *,
        sealed: bytes,
        at: datetime,
        expires_at: datetime,
        grace: timedelta,
    ) -> Rotation:
        """Update the row on condition that nobody did before, behind the session's row."""
        return await self._database.write(
            lambda connection: _rotate(
                connection, old, new, sealed=sealed, at=at, expires_at=expires_at, grace=grace
            )
        )

    async def list_active(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Read the rows of a user that are live and have a token to renew them with."""
        renewable = exists().where(
            col(RefreshTokenRow.session_id) == SessionRow.id,
            col(RefreshTokenRow.used_at).is_(None),
            col(RefreshTokenRow.expires_at) > at,
        )
        query = select(*_SESSION).where(col(SessionRow.user_id) == user, _is_live(at), renewable)
        return await self._sessions(
            query.order_by(col(SessionRow.last_used_at).desc()).limit(limit), large=True
        )

    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Read one row by its key."""
        values = {"session": session, "user": user, "at": at}
        return bool(await self._database.rows(_LIVE, values))

    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        """Look for a row, live or not."""
        query = (
            select(literal(1))
            .where(col(SessionRow.user_id) == user, col(SessionRow.site) == client_network(address))
            .limit(1)
        )
        return bool(await self._database.read(lambda c: c.execute(query).first()))

    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Read one row by its key; what another attempt stored there must be confirmed first."""
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
        """Update the row if it is live and the user's."""
        mine = and_(col(SessionRow.id) == session, col(SessionRow.user_id) == user)
        return bool(await self._end(mine, reason, at))

    async def end_all(
        self, user: UserId, *, reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        """Update all live rows of the user."""
        return await self._end(col(SessionRow.user_id) == user, reason, at)

    async def _end(
        self, which: ColumnElement[bool], reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        ended = await self._database.write(lambda c: end_sessions(c, which, reason, at))
        if not ended:
            # An earlier attempt may have ended them; callers say that they are ended.
            over = select(literal(1)).where(which).limit(1)
            await self._database.confirmed(lambda c: c.scalar(over))
        return ended

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Read by the index on the time of the ending."""
        query = select(col(SessionRow.id), col(SessionRow.ended_at)).where(
            col(SessionRow.ended_at) >= at
        )
        rows = await self._database.read(lambda c: c.execute(query).all(), shared=True)
        # A time that cannot be read is no reason to accept the session's tokens.
        return {
            SessionId(row.id): row.ended_at if isinstance(row.ended_at, datetime) else at
            for row in rows
        }

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        """Choose sessions by the index on one time, then on the other; tokens go first."""

        def work(connection: Connection) -> Forgotten:
            sessions = tokens = 0
            # One OR of both would be read from end to end: bitmaps are off on PostgreSQL.
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
                # When there is room left, none of these sessions has a token any more.
                emptied = ids[: room - len(digests)]
                _delete_each(connection, _FORGET_SESSION, emptied)
                tokens += len(digests)
                sessions += len(emptied)
            return Forgotten(sessions, tokens)

        return await self._database.write(work)

    async def _sessions(
        self, query: Select[*tuple[Any, ...]], *, large: bool = False
    ) -> list[Session]:
        return await self._database.read(
            lambda c: list(readable(c.execute(query).all(), row_to_session)), large=large
        )


def has_password(user: UserId, password_hash: PasswordHash) -> ColumnElement[bool]:
    """Match the row of an account that can be signed in to, if its hash is this."""
    return and_(
        col(UserRow.id) == user,
        col(UserRow.password_hash) == password_hash,
        col(UserRow.password_hash) != NO_HASH,
    )


def end_sessions(
    connection: Connection, which: ColumnElement[bool], reason: SessionEndReason, at: datetime
) -> list[SessionId]:
    """End the live sessions among these, within the caller's transaction, and return them."""
    statement = (
        update(SessionRow)
        .where(which, _is_live(at))
        .values(ended_at=at, ending=reason.value)
        .returning(col(SessionRow.id))
    )
    return [SessionId(row.id) for row in connection.execute(statement)]


def _end_surplus(connection: Connection, new: Session, limit: int) -> Sequence[SessionId]:
    """End sessions beyond the limit, in the order of `ix_sessions_live`."""
    at = new.started_at
    surplus = (
        select(col(SessionRow.id))
        .where(col(SessionRow.user_id) == new.user, _is_live(at))
        .order_by(col(SessionRow.expires_at).desc())
        .offset(limit - 1)
        .limit(_MOST_SURPLUS)
    )
    ids = connection.scalars(surplus).all()
    return (
        end_sessions(connection, col(SessionRow.id).in_(ids), SessionEndReason.TOO_MANY, at)
        if ids
        else ()
    )


_MOST_SURPLUS = 1_000
"""There are more where a copy brought them; the next sign-in goes on."""

_FORGET_TOKEN = delete(RefreshTokenRow).where(col(RefreshTokenRow.digest) == bindparam("key"))
_FORGET_SESSION = delete(SessionRow).where(col(SessionRow.id) == bindparam("key"))


def _delete_each(connection: Connection, statement: Delete, keys: Sequence[str | bytes]) -> None:
    if keys:
        connection.execute(statement, [{"key": key} for key in keys])


def _rotate(
    connection: Connection,
    old: TokenDigest,
    new: TokenDigest,
    *,
    sealed: bytes,
    at: datetime,
    expires_at: datetime,
    grace: timedelta,
) -> Rotation:
    live = exists().where(col(SessionRow.id) == RefreshTokenRow.session_id, _is_live(at))
    this = col(RefreshTokenRow.digest) == old
    connection.execute(
        select(col(SessionRow.id))
        .join(RefreshTokenRow, col(RefreshTokenRow.session_id) == SessionRow.id)
        .where(this)
        .with_for_update(key_share=True, of=SessionRow)
    )
    use = (
        update(RefreshTokenRow)
        .where(
            this,
            col(RefreshTokenRow.used_at).is_(None),
            col(RefreshTokenRow.expires_at) > at,
            live,
        )
        .values(used_at=at, sealed_successor=sealed)
        .returning(col(RefreshTokenRow.session_id))
    )
    if used := connection.execute(use).first():
        session = SessionId(used.session_id)
        _add_token(connection, new, session, expires_at)
        _note_use(connection, session, at, forget=at - grace)
        return Rotation(RotationOutcome.ROTATED, sealed)
    stored = connection.execute(
        select(
            col(RefreshTokenRow.session_id),
            col(RefreshTokenRow.used_at),
            col(RefreshTokenRow.sealed_successor),
        ).where(this, col(RefreshTokenRow.used_at).is_not(None), live)
    ).first()
    if stored is None:
        return Rotation(RotationOutcome.INVALID)
    if at - stored.used_at < grace:
        return Rotation(RotationOutcome.REPLAYED, stored.sealed_successor)
    end_sessions(connection, col(SessionRow.id) == stored.session_id, SessionEndReason.REUSE, at)
    return Rotation(RotationOutcome.REUSED)


def _note_use(
    connection: Connection, session: SessionId, at: datetime, *, forget: datetime
) -> None:
    """Store when a session was last used, and forget successors that are not returned again."""
    connection.execute(
        update(SessionRow).where(col(SessionRow.id) == session).values(last_used_at=at)
    )
    connection.execute(
        update(RefreshTokenRow)
        .where(
            col(RefreshTokenRow.session_id) == session,
            col(RefreshTokenRow.used_at) <= forget,
            col(RefreshTokenRow.sealed_successor).is_not(None),
        )
        .values(sealed_successor=None)
    )


def _add_token(
    connection: Connection, digest: TokenDigest, session: SessionId, expires_at: datetime
) -> None:
    connection.execute(
        insert(RefreshTokenRow).values(digest=digest, session_id=session, expires_at=expires_at)
    )


def _is_live(at: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    return and_(col(SessionRow.ended_at).is_(None), col(SessionRow.expires_at) > at)


_LIVE = select(col(SessionRow.id)).where(
    col(SessionRow.id) == bindparam("session"),
    col(SessionRow.user_id) == bindparam("user"),
    _is_live(bindparam("at")),
)
