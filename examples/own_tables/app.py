"""Ordergate with notes: `uvicorn --factory examples.own_tables.app:create`."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from sqlalchemy import Connection, Engine, create_engine, event

from examples.own_tables.notes import router
from ordergate.entrypoints import asgi
from ordergate.entrypoints.factories.checked_settings import load_checked_settings


def create() -> FastAPI:
    """Make Ordergate, with the router of the notes."""
    app = asgi.create()
    app.state.notes = make_engine(load_checked_settings().storage_url)
    app.include_router(router)
    return app


def make_engine(url: str) -> Engine:
    """Make an engine of your own for the same SQLite database."""
    engine = create_engine(url, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def enforce_foreign_keys(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


def migrate(connection: Connection) -> None:
    """Bring the notes to their newest revision, after `ordergate migrate`."""
    command.upgrade(make_config(connection), "head")


def make_config(connection: Connection) -> Config:
    """Configure Alembic with the migrations of the notes."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    with make_engine(load_checked_settings().storage_url).begin() as connection:
        migrate(connection)
