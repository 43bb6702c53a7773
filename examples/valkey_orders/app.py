"""Ordergate with its orders in Valkey: `ORDERGATE_CONTAINER` names `make_container`."""

import os

from examples.valkey_orders.orders import ValkeyOrderRepository
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container


def make_container(settings: Settings) -> Container:
    return Container(settings=settings, orders=ValkeyOrderRepository(os.environ["ORDERS_URL"]))
