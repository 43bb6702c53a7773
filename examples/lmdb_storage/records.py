"""The tables, and records as JSON."""

from datetime import datetime
from typing import Any

from ordergate.application.ports.archive import (
    AccountKind,
    AccountRecord,
    KeyRecord,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.money import Money
from ordergate.domain.order import Order, OrderId, OrderLine
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import PasswordHash, UserId, Username

from .keys import (
    account_key,
    encode_newest_first,
    encode_number,
    encode_time,
    list_prefix,
    name_key,
    order_key,
    session_key,
    site_prefix,
    subject_key,
    token_key,
    tokens_prefix,
    wish_key,
)
from .transactions import Table, Transaction


def parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


ACCOUNTS: Table[AccountRecord] = Table(
    kind=b"u",
    key=lambda account: account_key(account.id),
    leads=lambda account: {name_key(account.username)} if account.username else set(),
    refers_to=lambda _: None,
    encode=lambda account: {
        "id": account.id,
        "kind": account.kind,
        "name": account.username and account.username.value,
        "hash": account.password_hash,
    },
    decode=lambda stored: AccountRecord(
        UserId(stored["id"]),
        AccountKind(stored["kind"]),
        Username(stored["name"]) if stored["name"] else None,
        stored["hash"],
    ),
)

SUBJECTS: Table[SubjectRecord] = Table(
    kind=b"x",
    key=lambda known: subject_key(known.issuer, known.subject),
    leads=lambda _: set(),
    refers_to=lambda known: account_key(known.user),
    encode=lambda known: [known.issuer, known.subject, known.user],
    decode=lambda stored: SubjectRecord(*stored),
)


def _session_leads(record: SessionRecord) -> set[bytes]:
    session, ended_at = record.session, record.ended_at
    name = session.id.encode()
    over = min(session.expires_at, ended_at or session.expires_at)
    leads = {site_prefix(session.user, session.address) + name, b"z" + encode_time(over) + name}
    return leads | {b"e" + encode_time(ended_at) + name} if ended_at else leads


def _session_json(record: SessionRecord) -> object:
    session = record.session
    return {
        "id": session.id,
        "user": session.user,
        "client": session.client_id,
        "address": session.address,
        "scope": sorted(session.scope),
        "started": session.started_at.isoformat(),
        "used": session.last_used_at.isoformat(),
        "expires": session.expires_at.isoformat(),
        "ended": record.ended_at and record.ended_at.isoformat(),
        "ending": record.ending,
    }


def session_from_json(stored: dict[str, Any]) -> SessionRecord:
    session = Session(
        id=SessionId(stored["id"]),
        user=UserId(stored["user"]),
        client_id=stored["client"],
        address=stored["address"],
        scope=frozenset(stored["scope"]),
        started_at=datetime.fromisoformat(stored["started"]),
        last_used_at=datetime.fromisoformat(stored["used"]),
        expires_at=datetime.fromisoformat(stored["expires"]),
    )
    return SessionRecord(session, parse_time(stored["ended"]), stored["ending"])


SESSIONS: Table[SessionRecord] = Table(
    kind=b"s",
    key=lambda record: session_key(record.session.id),
    leads=_session_leads,
    refers_to=lambda record: account_key(record.session.user),
    encode=_session_json,
    decode=session_from_json,
)

TOKENS: Table[RefreshTokenRecord] = Table(
    kind=b"t",
    key=lambda token: token_key(token.digest),
    leads=lambda token: {
        tokens_prefix(token.session) + (b"1" if token.used_at else b"0") + token.digest
    },
    refers_to=lambda token: session_key(token.session),
    encode=lambda token: {
        "digest": token.digest.hex(),
        "session": token.session,
        "expires": token.expires_at.isoformat(),
        "used": token.used_at and token.used_at.isoformat(),
        "sealed": token.sealed and token.sealed.hex(),
    },
    decode=lambda stored: RefreshTokenRecord(
        TokenDigest(bytes.fromhex(stored["digest"])),
        SessionId(stored["session"]),
        datetime.fromisoformat(stored["expires"]),
        parse_time(stored["used"]),
        bytes.fromhex(stored["sealed"]) if stored["sealed"] else None,
    ),
)


def _order_leads(order: Order) -> set[bytes]:
    place = encode_newest_first(order.placed_at, order.id)
    lists = {list_prefix(order.owner, status) + place for status in (None, order.status)}
    return lists | {b"d" + encode_number(order.id) + encode_number(order.owner)}


def _order_json(order: Order) -> object:
    return {
        "id": order.id,
        "owner": order.owner,
        "status": order.status,
        "placed": order.placed_at.isoformat(),
        "version": order.version,
        "currency": order.currency,
        "lines": [[e.sku, e.name, e.quantity, e.unit_price.minor] for e in order.lines],
    }


def order_from_json(stored: dict[str, Any]) -> Order:
    return Order(
        id=OrderId(stored["id"]),
        owner=UserId(stored["owner"]),
        status=stored["status"],
        placed_at=datetime.fromisoformat(stored["placed"]),
        lines=tuple(
            OrderLine(sku, name, quantity, Money(price, stored["currency"]))
            for sku, name, quantity, price in stored["lines"]
        ),
        version=stored["version"],
    )


ORDERS: Table[Order] = Table(
    kind=b"o",
    key=lambda order: order_key(order.owner, order.id),
    leads=_order_leads,
    refers_to=lambda order: account_key(order.owner),
    encode=_order_json,
    decode=order_from_json,
)

KEYS: Table[KeyRecord] = Table(
    kind=b"i",
    key=lambda wish: wish_key(wish.owner, wish.key.value),
    leads=lambda wish: {
        b"k" + encode_time(wish.key.expires_at) + wish_key(wish.owner, wish.key.value)
    },
    refers_to=lambda wish: order_key(wish.owner, wish.order_id),
    encode=lambda wish: {
        "owner": wish.owner,
        "key": wish.key.value,
        "expires": wish.key.expires_at.isoformat(),
        "order": wish.order_id,
    },
    decode=lambda stored: KeyRecord(
        UserId(stored["owner"]),
        IdempotencyKey(stored["key"], datetime.fromisoformat(stored["expires"])),
        OrderId(stored["order"]),
    ),
)


def find_open_account(
    view: Transaction, user_id: UserId, password_hash: PasswordHash
) -> AccountRecord | None:
    """Return the account if its hash still is this."""
    account = ACCOUNTS.get(view, account_key(user_id))
    return account if account and account.password_hash == password_hash else None
