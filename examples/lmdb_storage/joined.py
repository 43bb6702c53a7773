"""Ordergate with LMDB: one row in the table of engines."""

from ordergate.entrypoints.factories.engines import ENGINES, Engine

from .database import LmdbDatabase
from .storage import LmdbStorage


def join() -> None:
    """Accept `ORDERGATE_DATABASE_URL=lmdb:///folder`; call it before settings are read."""
    ENGINES["lmdb"] = Engine(
        LmdbDatabase.find_url_error, lambda url, _: LmdbStorage(LmdbDatabase.from_url(url))
    )
