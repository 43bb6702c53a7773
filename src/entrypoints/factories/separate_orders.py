"""The ports of orders, which may have a store of their own."""

from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.application.ports.storage import BulkLoader, SeparateOrders, Storage


def find_separate_orders(storage: Storage, orders: OrderRepository) -> SeparateOrders | None:
    """Return the separate store or `None`.

    Raises `TypeError` if it lacks a method.
    """
    if orders is storage.orders:
        return None
    if not isinstance(orders, SeparateOrders):
        missing = sorted(x for x in SeparateOrders.__abstractmethods__ if not hasattr(orders, x))
        raise TypeError(
            "orders in another store than the accounts must implement SeparateOrders;"
            f" {type(orders).__name__} lacks {', '.join(missing)}"
        )
    return orders


def choose_staff_orders(storage: Storage, separate_orders: SeparateOrders | None) -> StaffOrders:
    """Return the orders that staff advance."""
    return separate_orders or storage.staff_orders


def choose_loader(storage: Storage, separate_orders: SeparateOrders | None) -> BulkLoader | None:
    """Return the loader of the storage, which cannot fill another store."""
    return None if separate_orders else storage.loader
