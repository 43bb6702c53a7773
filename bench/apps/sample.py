"""The data of every contestant: the users and orders of `ordergate seed`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

USERS = 10
ORDERS = 1000
PASSWORD = "only for measuring"
BCRYPT_COST = 12

ORDER = (
    b'{"id":1,"status":"paid","placed_at":"2026-01-01T09:00:01Z","currency":"EUR",'
    b'"total":"69.60","lines":[{"sku":"TEA-SENCHA-100","name":"Sencha, 100 g","quantity":2,'
    b'"unit_price":"9.80"},{"sku":"CUP-PORCELAIN","name":"Porcelain cup","quantity":4,'
    b'"unit_price":"12.50"}]}'
)
"""The order with id 1, as this project answers it."""


def orders() -> Iterator[dict[str, Any]]:
    """Make orders of two lines, dealt to the users round robin."""
    first = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
    for i in range(1, ORDERS + 1):
        yield {
            "id": i,
            "owner_id": (i - 1) % USERS + 1,
            "status": "paid",
            "placed_at": first + timedelta(seconds=i),
            "currency": "EUR",
            "lines": [
                {
                    "sku": "TEA-SENCHA-100",
                    "name": "Sencha, 100 g",
                    "quantity": 2,
                    "unit_price": "9.80",
                },
                {
                    "sku": "CUP-PORCELAIN",
                    "name": "Porcelain cup",
                    "quantity": 4,
                    "unit_price": "12.50",
                },
            ],
        }
