"""Users and orders as rows of their tables."""

from collections.abc import Iterator
from typing import Any

from domain.order import Order
from domain.user import User


def user_row(user: User) -> dict[str, Any]:
    """Return the row of an account that is open."""
    return {"id": user.id, "username": user.username.value, "password_hash": user.password_hash}


def order_row(order: Order) -> dict[str, Any]:
    """Return the row of the order itself."""
    return {
        "owner_id": order.owner,
        "id": order.id,
        "status": order.status.value,
        "placed_at": order.placed_at,
        "currency": order.currency,
        "version": order.version,
    }


def line_rows(order: Order) -> Iterator[dict[str, Any]]:
    """Return a row for each line."""
    for position, line in enumerate(order.lines):
        yield {
            "owner_id": order.owner,
            "order_id": order.id,
            "position": position,
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price": line.unit_price.minor,
        }
