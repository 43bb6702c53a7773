"""Statements that start a session, or rotate its token, as a whole.

A statement reads one snapshot. PostgreSQL evaluates the conditions on the rows that it locks or
updates again, on their newest versions.
"""

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    exists,
    insert,
    literal,
    select,
    true,
    update,
)

from ordergate.adapters.sql.repositories.session_statements import (
    active_at,
    has_old_successor,
    has_password,
    is_unused,
    select_surplus,
)
from ordergate.adapters.sql.tables import Table
from ordergate.domain.session import SessionEndReason

_USERS, _SESSIONS, _TOKENS = (
    Table.metadata.tables[name] for name in ("users", "sessions", "refresh_tokens")
)
_UNSET = {"user_id", "ended_at", "ending"}
_NEW = [each for each in _SESSIONS.columns if each.key not in _UNSET]
_TIME = _SESSIONS.c.started_at.type
_TOKEN = ["digest", "session_id", "expires_at"]


def _select_token(session: ColumnElement[str]) -> Select[tuple[bytes, str, datetime]]:
    digest = bindparam("new_digest", type_=_TOKENS.c.digest.type)
    return select(digest, session, bindparam("token_expires_at", type_=_TIME))


def _start() -> Select[tuple[str]]:
    user, at = (
        bindparam("new_user_id", type_=_USERS.c.id.type),
        bindparam("new_started_at", type_=_TIME),
    )
    verified = (
        select(_USERS.c.id)
        .where(has_password(user, bindparam("password_hash")))
        .with_for_update(read=True)
        .cte("verified")
    )
    surplus = (
        select_surplus(user, at, kept=bindparam("kept", type_=Integer()))
        .where(exists(select(verified.c.id)))
        .cte("surplus")
    )
    ended = (
        update(_SESSIONS)
        .where(_SESSIONS.c.id.in_(select(surplus.c.id)), active_at(at))
        .values(ended_at=at, ending=literal(SessionEndReason.TOO_MANY.value))
        .returning(_SESSIONS.c.id)
        .cte("ended")
    )
    values = select(
        verified.c.id, *(bindparam(f"new_{each.key}", type_=each.type) for each in _NEW)
    )
    session = (
        insert(_SESSIONS)
        .from_select(["user_id", *(each.key for each in _NEW)], values)
        .returning(_SESSIONS.c.id)
        .cte("session")
    )
    token = insert(_TOKENS).from_select(_TOKEN, _select_token(session.c.id))
    ids = select(ended.c.id).select_from(verified.outerjoin(ended, true()))
    return ids.add_cte(token.returning(_TOKENS.c.digest).cte("token"))


START = _start()
"""Returns a row for each ended session, and one with NULL if none ended.

Returns nothing if the account has another hash.
"""


def _rotate() -> Select[tuple[str]]:
    at = bindparam("at", type_=_TIME)
    locked = (
        select(_SESSIONS.c.id)
        .join_from(_SESSIONS, _TOKENS, _TOKENS.c.session_id == _SESSIONS.c.id)
        .where(_TOKENS.c.digest == bindparam("old"), active_at(at))
        .with_for_update(key_share=True, of=_SESSIONS)
        .cte("locked")
    )
    used = (
        update(_TOKENS)
        .where(_TOKENS.c.session_id == locked.c.id, is_unused(bindparam("old"), at))
        .values(used_at=at, sealed_successor=bindparam("sealed"))
        .returning(_TOKENS.c.session_id.label("id"))
        .cte("used")
    )
    token = insert(_TOKENS).from_select(_TOKEN, _select_token(used.c.id))
    session = update(_SESSIONS).where(_SESSIONS.c.id == used.c.id).values(last_used_at=at)
    forgotten = (
        update(_TOKENS)
        .where(has_old_successor(used.c.id, bindparam("forget")))
        .values(sealed_successor=None)
    )
    return select(used.c.id).add_cte(
        token.returning(_TOKENS.c.digest).cte("token"),
        session.returning(_SESSIONS.c.id).cte("session"),
        forgotten.returning(_TOKENS.c.digest).cte("forgotten"),
    )


ROTATE = _rotate()
"""Returns the id of the session, and nothing if the token is used, expired or of no active one."""
