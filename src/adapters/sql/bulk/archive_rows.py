"""Map the records of the archive, except orders, to rows."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from ordergate.adapters.sql.rows import check_types, row_to_session, session_to_row
from ordergate.adapters.sql.tables import CLOSED, EXTERNAL, NO_HASH
from ordergate.application.ports.archive import (
    AccountKind,
    AccountRecord,
    KeyRecord,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.order import OrderId
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import SessionId
from ordergate.domain.user import PasswordHash, UserId, Username


def account_to_row(account: AccountRecord) -> dict[str, Any]:
    """Return the row of an account.

    Closed and external accounts have reserved names.
    """
    if account.username is not None and account.password_hash is not None:
        name, password_hash = account.username.value, account.password_hash
    elif account.kind is AccountKind.OPEN:
        raise ValueError("an open account has a name and a hash")
    else:
        closed = account.kind is AccountKind.CLOSED
        name = f"{CLOSED}{account.id}" if closed else f"{EXTERNAL}{uuid.uuid4().hex}"
        password_hash = PasswordHash(NO_HASH)
    return {"id": account.id, "username": name, "password_hash": password_hash}


def row_to_account(row: Row[Any]) -> AccountRecord:
    """Return the record of a row of `users`.

    All functions that read rows may raise `RecordUnreadable`.
    """
    user = UserId(row.id)
    check_types(f"account {user}", row, username=str, password_hash=str)
    if row.username.startswith(CLOSED):
        return AccountRecord(user, AccountKind.CLOSED)
    if row.username.startswith(EXTERNAL):
        return AccountRecord(user, AccountKind.EXTERNAL)
    return AccountRecord(
        user, AccountKind.OPEN, Username(row.username), PasswordHash(row.password_hash)
    )


def subject_to_row(record: SubjectRecord) -> dict[str, Any]:
    """Return the row of an external subject."""
    return {"issuer": record.issuer, "subject": record.subject, "user_id": record.user}


def row_to_subject(row: Row[Any]) -> SubjectRecord:
    """Return the record of a row of `external_subjects`."""
    check_types(f"subject of account {row.user_id}", row, issuer=str, subject=str)
    return SubjectRecord(row.issuer, row.subject, UserId(row.user_id))


def session_record_to_row(record: SessionRecord) -> dict[str, Any]:
    """Return the row of an active or ended session."""
    ending = str(record.ending) if record.ending is not None else None
    return {**session_to_row(record.session), "ended_at": record.ended_at, "ending": ending}


def row_to_session_record(row: Row[Any]) -> SessionRecord:
    """Return the record of a row of `sessions`."""
    check_types(f"session {row.id}", row, ended_at=datetime | None, ending=str | None)
    return SessionRecord(row_to_session(row), row.ended_at, row.ending)


def refresh_token_row(record: RefreshTokenRecord) -> dict[str, Any]:
    """Return the row of a refresh token."""
    return {
        "digest": record.digest,
        "session_id": record.session,
        "expires_at": record.expires_at,
        "used_at": record.used_at,
        "sealed_successor": record.sealed,
    }


def row_to_refresh_token(row: Row[Any]) -> RefreshTokenRecord:
    """Return the record of a row of `refresh_tokens`."""
    check_types(
        f"refresh token of session {row.session_id}",
        row,
        expires_at=datetime,
        used_at=datetime | None,
        sealed_successor=bytes | None,
    )
    return RefreshTokenRecord(
        TokenDigest(row.digest),
        SessionId(row.session_id),
        row.expires_at,
        row.used_at,
        row.sealed_successor,
    )


def key_to_row(record: KeyRecord) -> dict[str, Any]:
    """Return the row of an idempotency key."""
    return {
        "owner_id": record.owner,
        "key": record.key.value,
        "order_id": record.order_id,
        "expires_at": record.key.expires_at,
    }


def row_to_key(row: Row[Any]) -> KeyRecord:
    """Return the record of a row of `idempotency_keys`."""
    record = f"idempotency key of order {row.order_id} of account {row.owner_id}"
    check_types(record, row, order_id=int, expires_at=datetime)
    return KeyRecord(
        UserId(row.owner_id), IdempotencyKey(row.key, row.expires_at), OrderId(row.order_id)
    )
