"""Keys, which sort as bytes."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ordergate.domain.address import find_client_network
from ordergate.domain.order import OrderId
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import SessionId
from ordergate.domain.user import UserId, Username

T = TypeVar("T")


BEGINNING = datetime.min.replace(tzinfo=UTC)
LAST_NUMBER = 2**64 - 1
SCHEMA_KEY, SECRET_KEY, CHECKPOINT_KEY = b"mschema", b"msecret", b"c"


def encode_number(value: int) -> bytes:
    return value.to_bytes(8)


def to_microseconds(at: datetime) -> int:
    return (at - BEGINNING) // timedelta(microseconds=1)


def encode_time(at: datetime) -> bytes:
    return encode_number(to_microseconds(at))


def encode_newest_first(at: datetime, order_id: int) -> bytes:
    return encode_number(LAST_NUMBER - to_microseconds(at)) + encode_number(LAST_NUMBER - order_id)


def account_key(user: UserId) -> bytes:
    return b"u" + encode_number(user)


def name_key(username: Username) -> bytes:
    return b"n" + username.value.encode()


def subject_key(issuer: str, subject: str) -> bytes:
    return b"x" + hashlib.sha256(json.dumps([issuer, subject]).encode()).digest()


def session_key(session: SessionId) -> bytes:
    return b"s" + session.encode()


def site_prefix(user: UserId, address: str) -> bytes:
    return b"S" + encode_number(user) + find_client_network(address).encode() + b"\0"


def token_key(token: TokenDigest) -> bytes:
    return b"t" + token


def tokens_prefix(session: SessionId) -> bytes:
    return b"T" + session.encode()


def order_key(owner: UserId, order_id: OrderId) -> bytes:
    return b"o" + encode_number(owner) + encode_number(order_id)


def list_prefix(owner: UserId, status: str | None) -> bytes:
    return b"l" + encode_number(owner) + (status or "").encode() + b"\0"


def wish_key(owner: UserId, key: str) -> bytes:
    return b"i" + encode_number(owner) + key.encode()
