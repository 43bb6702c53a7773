"""Strategies that make whole storages."""

from datetime import UTC
from typing import Any

from hypothesis import strategies as st

from ordergate.application.ports.archive import (
    AccountKind,
    AccountRecord,
    KeyRecord,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.support.builders import orders

times = st.datetimes(timezones=st.just(UTC))


text = st.text(
    st.characters(exclude_categories=["C"], include_characters=":😀"), min_size=1, max_size=255
)


@st.composite
def sessions(draw: st.DrawFn, number: int, user: UserId) -> SessionRecord:
    session = Session(
        id=SessionId(f"{number:032x}"),
        user=user,
        client_id=draw(text),
        address=draw(st.text("0123456789abcdef:.", max_size=64)),
        scope=draw(st.frozensets(st.sampled_from(Scope))),
        started_at=draw(times),
        last_used_at=draw(times),
        expires_at=draw(times),
    )
    ended = st.tuples(times, st.sampled_from(SessionEndReason))
    return SessionRecord(session, *draw(st.just((None, None)) | ended))


@st.composite
def whole_storages(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Any records that fit together, by the name of their kind."""
    ids = draw(st.lists(st.integers(1, 2**62), min_size=1, max_size=6, unique=True))
    accounts = []
    for number, each in enumerate(ids):
        kind = draw(st.sampled_from(AccountKind))
        name, password_hash = Username(f"zoë{number}"), PasswordHash(draw(text))
        is_open = kind is AccountKind.OPEN
        accounts.append(
            AccountRecord(UserId(each), kind, name, password_hash)
            if is_open
            else AccountRecord(UserId(each), kind)
        )
    users = st.sampled_from([account.id for account in accounts])
    external = [account.id for account in accounts if account.kind is AccountKind.EXTERNAL]
    names = draw(st.lists(st.tuples(text, text), max_size=len(external), unique=True))
    some_sessions = [
        draw(sessions(number, draw(users))) for number in range(draw(st.integers(0, 3)))
    ]
    tokens = [
        RefreshTokenRecord(
            TokenDigest(draw(st.binary(min_size=31, max_size=31)) + bytes([number])),
            draw(st.sampled_from(some_sessions)).session.id,
            draw(times),
            draw(st.none() | times),
            draw(st.none() | st.binary(min_size=32, max_size=32)),
        )
        for number in range(draw(st.integers(0, 4)) if some_sessions else 0)
    ]
    some_orders = {
        (order.owner, order.id): order
        for order in [draw(orders(owner=draw(users))) for _ in range(draw(st.integers(0, 4)))]
    }
    keys = {
        (owner, value): KeyRecord(owner, IdempotencyKey(value, draw(times)), order_id)
        for owner, order_id in some_orders
        for value in draw(st.lists(st.from_regex("[!-~]{1,255}", fullmatch=True), max_size=2))
    }
    known = zip(names, external, strict=False)
    return {
        "accounts": accounts,
        "subjects": [SubjectRecord(*each, user) for each, user in known],
        "sessions": some_sessions,
        "refresh tokens": tokens,
        "orders": list(some_orders.values()),
        "idempotency keys": list(keys.values()),
    }
