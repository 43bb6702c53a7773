"""Blocks that start a session, or rotate its token, as a whole."""

from functools import cache

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Insert,
    bindparam,
    insert,
    literal_column,
    null,
    select,
    update,
)

from ordergate.adapters.sql.mysql.cluster import write_turn
from ordergate.adapters.sql.mysql.writes.block import Block
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
_UNSET = {"ended_at", "ending"}
_TIME = _SESSIONS.c.started_at.type


def _insert_token(session: BindParameter[str] | None = None) -> Insert:
    return insert(_TOKENS).values(
        digest=bindparam("new_digest", type_=_TOKENS.c.digest.type),
        session_id=literal_column("the_session") if session is None else session,
        expires_at=bindparam("token_expires_at", type_=_TIME),
    )


@cache
def make_start(*, in_cluster: bool) -> Block:
    """Return the block that starts a session of this hash.

    It returns the ids of ended sessions, as JSON.
    """
    user: BindParameter[int] = bindparam("new_user_id", type_=_USERS.c.id.type)
    at = bindparam("new_started_at", type_=_TIME)
    verified = select(_USERS.c.id).where(has_password(user, bindparam("password_hash")))
    end = (
        update(_SESSIONS)
        .where(_SESSIONS.c.id == literal_column("the_surplus.id"), active_at(at))
        .values(ended_at=at, ending=SessionEndReason.TOO_MANY.value)
    )
    columns = [each for each in _SESSIONS.columns if each.key not in _UNSET]
    session = {each: bindparam(f"new_{each.key}", type_=each.type) for each in columns}
    return Block(
        "DECLARE the_user TYPE OF users.id;"
        " DECLARE the_ended LONGTEXT CHARACTER SET utf8mb4 DEFAULT '[]';"
        " START TRANSACTION;",
        *((write_turn("new_user_id"), ";") if in_cluster else ()),
        "SET the_user = (",
        verified.with_for_update(read=True),
        "); IF the_user IS NOT NULL THEN FOR the_surplus IN (",
        select_surplus(user, at, kept=bindparam("kept")),
        ") DO",
        end,
        "; IF ROW_COUNT() = 1 THEN"
        " SET the_ended = JSON_ARRAY_APPEND(the_ended, '$', the_surplus.id); END IF; END FOR;",
        insert(_SESSIONS).values(session),
        ";",
        _insert_token(bindparam("new_id", type_=_SESSIONS.c.id.type)),
        "; COMMIT; SELECT the_ended; ELSE ROLLBACK; END IF;",
    )


@cache
def make_rotation() -> Block:
    """Return the block that rotates a refresh token.

    It returns the id of the session, and nothing if the token is used, expired or of no active one.
    """
    old: BindParameter[bytes] = bindparam("old")
    at = bindparam("at", type_=_TIME)
    this: ColumnElement[str] = literal_column("the_session")
    locked = (
        select(_SESSIONS.c.id)
        .join_from(_SESSIONS, _TOKENS, _TOKENS.c.session_id == _SESSIONS.c.id)
        .where(_TOKENS.c.digest == old, active_at(at))
        .with_for_update()
    )
    used = (
        update(_TOKENS)
        .where(is_unused(old, at), _TOKENS.c.session_id == this)
        .values(used_at=at, sealed_successor=bindparam("sealed"))
    )
    forgotten = has_old_successor(this, bindparam("forget"))
    return Block(
        "DECLARE the_session TYPE OF sessions.id; START TRANSACTION; SET the_session = (",
        locked,
        ");",
        used,
        "; IF ROW_COUNT() = 1 THEN",
        _insert_token(),
        ";",
        update(_SESSIONS).where(_SESSIONS.c.id == this).values(last_used_at=at),
        ";",
        update(_TOKENS).where(forgotten).values(sealed_successor=null()),
        "; COMMIT; SELECT the_session; ELSE ROLLBACK; END IF;",
    )
