"""The configured database: its storage, its files and its name."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ordergate.adapters.sql.sqlite.file import file_errors
from ordergate.adapters.system.files import make_folder
from ordergate.application.ports.archive import StorageFile
from ordergate.application.ports.storage import Storage
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.plain_text import find_text_flaw
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.engines import ENGINES, Engine

READ_URL = "ORDERGATE_READ_DATABASE_URL"

_OTHER_NAMES = {"postgres": "postgresql"}
"""Schemes that consoles of providers show, with the names of their engines."""


class DatabaseInUse(NamedTuple):
    """The database in messages, and its server's readiness check.

    `name` and `displayed_url` have no secrets. `find_reason_to_wait` returns why the server accepts
    no connection yet, or `None`.
    """

    name: str
    displayed_url: str
    find_reason_to_wait: Callable[[], Awaitable[str | None]] | None


def _remove_driver(url: str) -> str:
    """Return a URL with its engine's name, without a driver's.

    SQLAlchemy's URLs may name a driver.
    """
    scheme, separator, rest = url.partition(":")
    name = scheme.partition("+")[0]
    return f"{_OTHER_NAMES.get(name, name)}{separator}{rest}"


def find_database_url_error(url: str) -> str | None:
    """Describe an error in a database URL, or return `None`."""
    if error := find_text_flaw(url):
        return error
    plain = _remove_driver(url)
    engine = ENGINES.get(plain.partition(":")[0])
    return engine.find_url_error(plain) if engine else f"must begin with {' or '.join(ENGINES)}"


def make_home(home: Path) -> None:
    """Create the folder of state for its owner. Raises `StorageUnavailable`."""
    with file_errors(home):
        make_folder(home)


def make_storage(url: str, settings: Settings) -> Storage:
    """Make the storage of a valid database URL."""
    engine, plain = _find_engine(url)
    return engine.storage(plain, settings)


def find_standby_error(settings: Settings) -> str | None:
    """Describe why the configured standby cannot be used, or return `None`."""
    if settings.read_database_url is None:
        return None
    url = settings.read_database_url.get_secret_value()
    (engine, _), (main, _) = _find_engine(url), _find_engine(settings.storage_url)
    if main.with_standby is None:
        return "needs a PostgreSQL database in ORDERGATE_DATABASE_URL; set that, or unset this one"
    if engine is not main:
        return "must begin like ORDERGATE_DATABASE_URL, because it names a standby of that database"
    return None


def make_configured_storage(settings: Settings) -> Storage:
    """Make the storage of the configured database.

    Raises `SettingsError` for a standby that it cannot have.
    """
    if settings.read_database_url is None:
        return make_storage(settings.storage_url, settings)
    engine, url = _find_engine(settings.storage_url)
    if (error := find_standby_error(settings)) or engine.with_standby is None:
        raise SettingsError([f"{READ_URL}: {error}"])
    _, standby = _find_engine(settings.read_database_url.get_secret_value())
    return engine.with_standby(url, settings, standby)


def make_storage_file(settings: Settings) -> StorageFile | None:
    """Make the port for copies of the database's file.

    Returns `None` for a server database.
    """
    engine, url = _find_engine(settings.storage_url)
    return engine.file(url) if engine.file else None


def list_database_files(settings: Settings) -> tuple[Path, ...]:
    """Return the files that the configured database may have on this machine."""
    engine, url = _find_engine(settings.storage_url)
    return engine.files(url)


def describe_database(settings: Settings) -> DatabaseInUse:
    """Describe the configured database."""
    return _describe(settings.storage_url)


def describe_read_database(settings: Settings) -> DatabaseInUse | None:
    """Describe the configured standby, or return `None`."""
    url = settings.read_database_url
    return _describe(url.get_secret_value()) if url else None


def _describe(written: str) -> DatabaseInUse:
    engine, url = _find_engine(written)
    name, find = engine.name(url), engine.find_reason_to_wait
    displayed_url = engine.displayed_url(written, name)
    return DatabaseInUse(name, displayed_url, partial(find, url) if find else None)


def _find_engine(url: str) -> tuple[Engine, str]:
    """Return the engine of a valid URL, and the URL for it."""
    plain = _remove_driver(url)
    return ENGINES[plain.partition(":")[0]], plain
