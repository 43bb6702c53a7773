"""Rules for every method of a port, also for later ones."""

import inspect

from ordergate.application.ports.orders import OrderRepository

_OF_NO_ORDER = {"purge_expired_keys"}
"""Expired keys are removed for all owners, and no order changes."""


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
