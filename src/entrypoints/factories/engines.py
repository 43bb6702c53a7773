"""The database engines, by the scheme of `ORDERGATE_DATABASE_URL`.

A new engine is one row.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.backup import SqliteFile
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.adapters.sql.sqlite.file import JOURNALS
from ordergate.application.ports.archive import StorageFile
from ordergate.application.ports.storage import Storage
from ordergate.entrypoints.config.displayed_urls import write_without_account
from ordergate.entrypoints.config.plain_text import find_path_flaw
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # a service on SQLite starts without it
    from ordergate.adapters.sql.server.database import ServerLimits

_SQLITE = "sqlite:///"


class Engine(NamedTuple):
    """The functions of an engine, each of which takes a database URL.

    `find_url_error` describes an error in the URL, or returns `None`. `storage` makes the storage.
    `file` makes the port for copies of the database's file, for engines without tools of their own.
    `name` names the database in messages, without secrets. `displayed_url` writes a URL as it was
    set, with that name and without secrets. `files` are the files that it may have.
    `find_reason_to_wait` returns why a server accepts no connection yet, or `None`. `with_standby`
    makes the storage that also reads from the standby of a second URL, if the engine can.
    """

    find_url_error: Callable[[str], str | None]
    storage: Callable[[str, Settings], Storage]
    with_standby: Callable[[str, Settings, str], Storage] | None = None
    file: Callable[[str], StorageFile] | None = None
    name: Callable[[str], str] = lambda url: url.partition(":")[0]
    displayed_url: Callable[[str, str], str] = write_without_account
    files: Callable[[str], tuple[Path, ...]] = lambda _: ()
    find_reason_to_wait: Callable[[str], Awaitable[str | None]] | None = None


def _find_sqlite_url_error(url: str) -> str | None:
    error = SqliteDatabase.find_url_error(url)
    if error is None and (in_path := find_path_flaw(url.removeprefix(_SQLITE))):
        return f"its path {in_path}"
    return error


def _make_sqlite_storage(url: str, _settings: Settings) -> Storage:
    return SqlStorage(SqliteDatabase.from_url(url))


def _name_sqlite(url: str) -> str:
    return str(Path(url.removeprefix(_SQLITE)).absolute())


def _display_sqlite_url(url: str, name: str) -> str:
    return f"{url.partition(':')[0]}:///{name}"


def _list_sqlite_files(url: str) -> tuple[Path, ...]:
    name = _name_sqlite(url)
    return (Path(name), *(Path(f"{name}{suffix}") for suffix in JOURNALS))


def _read_limits(settings: Settings) -> "ServerLimits":
    return {
        "pool_size": settings.database_pool_size,
        "pool_seconds": settings.database_pool_seconds,
        "statement_seconds": settings.database_statement_seconds,
        "idle_seconds": settings.database_idle_seconds,
    }


def _find_postgres_url_error(url: str) -> str | None:
    from ordergate.adapters.sql.postgres.connecting.url import find_url_error

    return find_url_error(url)


def _make_postgres_storage(url: str, settings: Settings, standby_url: str | None = None) -> Storage:
    from ordergate.adapters.sql.postgres.database import PostgresDatabase

    limits, sends_settings = _read_limits(settings), settings.database_settings == "connection"
    primary = PostgresDatabase(url, **limits, sends_settings=sends_settings)
    if standby_url is None:
        return SqlStorage(primary)

    from ordergate.adapters.sql.postgres.standby import PostgresStandby
    from ordergate.adapters.sql.postgres.standby_reads import StandbyReads

    standby = PostgresStandby(standby_url, **limits, sends_settings=sends_settings)
    return SqlStorage(primary, StandbyReads(primary, standby))


def _name_postgres(url: str) -> str:
    from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl

    return DatabaseUrl.read(url).address


async def _find_postgres_reason_to_wait(url: str) -> str | None:
    from ordergate.adapters.sql.postgres.connecting.readiness import find_reason_to_wait

    return await find_reason_to_wait(url)


def _find_mysql_url_error(url: str) -> str | None:
    from ordergate.adapters.sql.mysql.url import find_url_error

    return find_url_error(url)


def _make_mysql_storage(url: str, settings: Settings) -> Storage:
    from ordergate.adapters.sql.mysql.database import MysqlDatabase

    return SqlStorage(MysqlDatabase(url, **_read_limits(settings)))


def _name_mysql(url: str) -> str:
    from ordergate.adapters.sql.mysql.url import find_address

    return find_address(url)


async def _find_mysql_reason_to_wait(url: str) -> str | None:
    from ordergate.adapters.sql.mysql.readiness import find_reason_to_wait

    return await find_reason_to_wait(url)


_MYSQL = Engine(
    find_url_error=_find_mysql_url_error,
    storage=_make_mysql_storage,
    name=_name_mysql,
    find_reason_to_wait=_find_mysql_reason_to_wait,
)

ENGINES = {
    "sqlite": Engine(
        find_url_error=_find_sqlite_url_error,
        storage=_make_sqlite_storage,
        file=SqliteFile.from_url,
        name=_name_sqlite,
        displayed_url=_display_sqlite_url,
        files=_list_sqlite_files,
    ),
    "postgresql": Engine(
        find_url_error=_find_postgres_url_error,
        storage=_make_postgres_storage,
        with_standby=_make_postgres_storage,
        name=_name_postgres,
        find_reason_to_wait=_find_postgres_reason_to_wait,
    ),
    "mariadb": _MYSQL,
    "mysql": _MYSQL,
}
