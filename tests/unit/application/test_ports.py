"""What holds of every method of a port, also of those that are still to be written."""

import inspect

from ordergate.application.ports.orders import OrderRepository

_OF_NO_ORDER = {"purge_expired_keys"}
"""Keys that have expired are removed for everybody; no order is touched."""


def test_order_methods_require_the_owner_by_keyword() -> None:
    methods = {
        name: method
        for name, method in inspect.getmembers(OrderRepository, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods.keys() > _OF_NO_ORDER
    for name in methods.keys() - _OF_NO_ORDER:
        owner = inspect.signature(methods[name]).parameters["owner"]
        assert owner.kind is inspect.Parameter.KEYWORD_ONLY
        assert owner.default is inspect.Parameter.empty
