"""Cursors: positions in a list of orders, sealed for that list."""

import base64
import hmac
import json
import re
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request

from ordergate.application.ports.orders import Position
from ordergate.application.purpose_keys import KeyPurpose
from ordergate.domain.order import OrderStatus
from ordergate.domain.user import UserId
from ordergate.entrypoints.http.problems.problem import ProblemError, invalid_parameter
from ordergate.entrypoints.http.services import get_services

# A byte that tells the form, microseconds since 1970, the id; 33 bytes with the seal, so that
# base64 has no bits to spare and each cursor one spelling.
_POSITION = struct.Struct(">Bqq")
_FORM = 1
_SEAL_LENGTH = 16
_TEXT = re.compile(r"[A-Za-z0-9_-]{44}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

INVALID_CURSOR = invalid_parameter(
    ("query", "cursor", "is not a cursor of this list; start again without it")
)


@dataclass(frozen=True, slots=True)
class OrderFilters:
    """The identity of a list: its owner and its filters."""

    owner: UserId
    status: OrderStatus | None = None
    placed_from: datetime | None = None
    placed_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes and reads cursors under a key that all hosts share.

    A cursor is base64url of a position and of the HMAC-SHA-256, cut to 16 bytes, of the position
    and the list. Only the key can make a cursor or use it for another list.
    """

    key: bytes = field(repr=False)

    def encode(self, position: Position, of: OrderFilters) -> str:
        """Seal a position of a list as 44 URL-safe characters."""
        packed = _POSITION.pack(_FORM, _count_microseconds(position.placed_at), position.id)
        return base64.urlsafe_b64encode(packed + self._seal(packed, of)).decode()

    def decode(self, cursor: str, of: OrderFilters) -> Position:
        """Open a cursor of a list.

        Raises a problem 422 for other text.
        """
        sealed = base64.urlsafe_b64decode(cursor) if _TEXT.fullmatch(cursor) else b""
        packed, seal = sealed[: _POSITION.size], sealed[_POSITION.size :]
        if not hmac.compare_digest(seal, self._seal(packed, of)):
            raise ProblemError(INVALID_CURSOR)
        _, microseconds, order_id = _POSITION.unpack(packed)
        return Position(_EPOCH + microseconds * _MICROSECOND, order_id)

    def _seal(self, packed: bytes, of: OrderFilters) -> bytes:
        times = (of.placed_from, of.placed_before)
        bound = [of.owner, of.status, *(time and _count_microseconds(time) for time in times)]
        message = packed + json.dumps(bound).encode()
        return hmac.digest(self.key, message, "sha256")[:_SEAL_LENGTH]


def _count_microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


async def _get_cursors(request: Request) -> Cursors:
    return Cursors(await get_services(request).purpose_keys().get(KeyPurpose.ORDER_CURSORS))


CursorsInUse = Annotated[Cursors, Depends(_get_cursors)]
