"""Statements about sessions within the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    insert,
    select,
    update,
)
from sqlmodel import col

from ordergate.adapters.sql.repositories.update_returning import update_returning
from ordergate.adapters.sql.tables import NO_HASH, RefreshTokenRow, SessionRow, UserRow
from ordergate.application.ports.sessions import (
    Rotation,
    RotationOutcome,
    TokenExchange,
)
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId

_MOST_SURPLUS = 1_000
"""A copy may bring more sessions; the next sign-in ends further ones."""


def has_password(
    user: UserId | BindParameter[int], password_hash: PasswordHash | BindParameter[str]
) -> ColumnElement[bool]:
    """Match the row of an open account with this hash."""
    return and_(
        col(UserRow.id) == user,
        col(UserRow.password_hash) == password_hash,
        col(UserRow.password_hash) != NO_HASH,
    )


def end_sessions(
    connection: Connection, which: ColumnElement[bool], reason: SessionEndReason, at: datetime
) -> list[SessionId]:
    """End the active sessions among these and return them."""
    active, ended = and_(which, active_at(at)), {"ended_at": at, "ending": reason.value}
    ids = update_returning(connection, SessionRow, active, col(SessionRow.id), **ended)
    return [SessionId(each) for each in ids]


def end_surplus(connection: Connection, new: Session, limit: int) -> Sequence[SessionId]:
    """End the sessions that leave no room for a new one."""
    at = new.started_at
    ids = connection.scalars(select_surplus(new.user, at, kept=limit - 1)).all()
    return (
        end_sessions(connection, col(SessionRow.id).in_(ids), SessionEndReason.TOO_MANY, at)
        if ids
        else ()
    )


def select_surplus(
    user: UserId | BindParameter[int],
    at: datetime | BindParameter[datetime],
    *,
    kept: int | BindParameter[int],
) -> Select[str]:
    """Select the active sessions after the first ones, which are kept.

    They are in the order of `ix_sessions_live`.
    """
    return (
        select(col(SessionRow.id))
        .where(col(SessionRow.user_id) == user, active_at(at))
        .order_by(col(SessionRow.expires_at).desc())
        .offset(kept)
        .limit(_MOST_SURPLUS)
    )


def rotate(connection: Connection, exchange: TokenExchange) -> Rotation:
    """Rotate a refresh token, as `SessionRepository.rotate` describes."""
    active = exists().where(
        col(SessionRow.id) == RefreshTokenRow.session_id, active_at(exchange.at)
    )
    this = col(RefreshTokenRow.digest) == exchange.old
    connection.execute(
        select(col(SessionRow.id))
        .join(RefreshTokenRow, col(RefreshTokenRow.session_id) == SessionRow.id)
        .where(this)
        .with_for_update(key_share=True, of=SessionRow)
    )
    if used := update_returning(
        connection,
        RefreshTokenRow,
        and_(is_unused(exchange.old, exchange.at), active),
        col(RefreshTokenRow.session_id),
        used_at=exchange.at,
        sealed_successor=exchange.sealed,
    ):
        session = SessionId(used[0])
        add_token(connection, exchange.new, session, exchange.expires_at)
        _note_use(connection, session, exchange.at, forget=exchange.at - exchange.grace)
        return Rotation(RotationOutcome.ROTATED, exchange.sealed)
    stored = connection.execute(
        select(
            col(RefreshTokenRow.session_id),
            col(RefreshTokenRow.used_at),
            col(RefreshTokenRow.sealed_successor),
        ).where(this, col(RefreshTokenRow.used_at).is_not(None), active)
    ).first()
    if stored is None:
        return Rotation(RotationOutcome.INVALID)
    if exchange.at - stored.used_at < exchange.grace:
        return Rotation(RotationOutcome.REPLAYED, stored.sealed_successor)
    end_sessions(
        connection, col(SessionRow.id) == stored.session_id, SessionEndReason.REUSE, exchange.at
    )
    return Rotation(RotationOutcome.REUSED)


def _note_use(
    connection: Connection, session: SessionId, at: datetime, *, forget: datetime
) -> None:
    """Store the last use of a session and erase old successors."""
    connection.execute(
        update(SessionRow).where(col(SessionRow.id) == session).values(last_used_at=at)
    )
    connection.execute(
        update(RefreshTokenRow)
        .where(has_old_successor(session, forget))
        .values(sealed_successor=None)
    )


def add_token(
    connection: Connection, digest: TokenDigest, session: SessionId, expires_at: datetime
) -> None:
    """Insert an unused refresh token of a session."""
    connection.execute(
        insert(RefreshTokenRow).values(digest=digest, session_id=session, expires_at=expires_at)
    )


def is_unused(
    token: TokenDigest | BindParameter[bytes], at: datetime | BindParameter[datetime]
) -> ColumnElement[bool]:
    """Match a token that is unused and unexpired at that time."""
    return and_(
        col(RefreshTokenRow.digest) == token,
        col(RefreshTokenRow.used_at).is_(None),
        col(RefreshTokenRow.expires_at) > at,
    )


def has_old_successor(
    session: SessionId | ColumnElement[str], used_by: datetime | BindParameter[datetime]
) -> ColumnElement[bool]:
    """Match the session's tokens with a successor, used by that time."""
    return and_(
        col(RefreshTokenRow.session_id) == session,
        col(RefreshTokenRow.used_at) <= used_by,
        col(RefreshTokenRow.sealed_successor).is_not(None),
    )


def active_at(at: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Match the rows of sessions that are active at that time."""
    return and_(col(SessionRow.ended_at).is_(None), col(SessionRow.expires_at) > at)
