"""Ordergate with its orders in Valkey: `uvicorn --factory examples.valkey_orders.app:create`."""

import asyncio
import os
from datetime import timedelta

from fastapi import FastAPI

from examples.valkey_orders.orders import ValkeyOrderRepository
from ordergate.application.maintenance.purge_storage import Purged
from ordergate.entrypoints import asgi
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings


def make_container(settings: Settings) -> Container:
    return Container(settings=settings, orders=ValkeyOrderRepository(os.environ["ORDERS_URL"]))


def create() -> FastAPI:
    return asgi.create(make_container)


async def purge(settings: Settings) -> Purged:
    """Do what `ordergate purge` does, which would purge the orders of the database."""
    container = make_container(settings)
    async with container.running_service():
        return await container.purge_storage()(keep_sessions=timedelta(days=90))


if __name__ == "__main__":
    print(asyncio.run(purge(load_checked_settings())))  # noqa: T201 - a command
