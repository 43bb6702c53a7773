"""Common parts of commands: the container, an open storage, and failures."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TypeVar

import typer
from dependency_injector.providers import Object

from ordergate.application.errors import ApplicationError, StorageUnavailable
from ordergate.application.ports.archive import StorageFile
from ordergate.application.ports.storage import StorageInspector
from ordergate.entrypoints.chosen_container import make_container
from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.plain_text import find_path_flaw
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings

T = TypeVar("T")

_CHECK_SECONDS = 2.0
"""The maximum delay of a start for the check of the database file."""

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_MOST_DIGITS = 20
"""The maximum of digits of a number on the command line; the largest id has 19."""

_log = logging.getLogger("ordergate.storage")


class Failure(Exception):
    """A reason to stop, as one line for the user."""


def parse_file_path(text: str) -> Path:
    """Read the path of a file on the command line. Raises `typer.BadParameter`."""
    if flaw := find_path_flaw(text):
        raise typer.BadParameter(f"the path {flaw}")
    return Path(text)


def make_number_parser(least: int, most: int) -> Callable[[str | int], int]:
    """Return a parser of whole numbers from `least` to `most`.

    It raises `typer.BadParameter` for any other text.
    """

    def parse(text: str | int) -> int:  # a default is an int already
        digits = str(text)
        plain = digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS
        if not plain or not least <= int(digits) <= most:
            raise typer.BadParameter(f"must be a whole number from {least} to {most}")
        return int(digits)

    return parse


def read_root_path(text: str) -> str:
    """Return a prefix of addresses. Raises `typer.BadParameter` for any other text."""
    if text and not _ROOT_PATH.fullmatch(text):
        raise typer.BadParameter(
            "must be the path before every address, such as /shop or /api/v1, without a slash at"
            " the end"
        )
    return text


def load_container() -> Container:
    """Read the settings and configure the log. Raises `SettingsError`."""
    settings = load_checked_settings()
    configure_logging(settings)
    return make_command_container(settings)


def make_command_container(settings: Settings) -> Container:
    """Make the container of a command.

    Commands hash at normal priority; at idle priority they could starve beside a busy server.
    """
    container = make_container(settings)
    container.low_priority_hashing.override(Object(provides=False))
    return container


def require_token_issuer() -> Container:
    """Return the container of a service that issues tokens. Raises `Failure` otherwise."""
    container = load_container()
    if not container.settings().issues_tokens:
        raise Failure("the settings name another issuer, where accounts and keys are kept")
    return container


def with_storage(container: Container, work: Callable[[], Awaitable[T]]) -> T:
    """Run a job while the storage is open. Raises its errors.

    Errors of `Storage.open` are raised too. `Failure` names an unavailable server.
    """

    async def run() -> T:
        async with container.opened_storage():
            return await work()

    with _name_server(container):
        return asyncio.run(run())


def migrate_storage(container: Container) -> None:
    """Update the schema. Raises errors of `Storage.migrate`.

    `Failure` names an unavailable server.
    """

    async def run() -> None:
        try:
            await container.storage().migrate()
        finally:
            await container.storage().close()

    with _name_server(container):
        asyncio.run(run())


@contextmanager
def _name_server(container: Container) -> Iterator[None]:
    """Name the hosts of an unavailable server; a file names itself."""
    try:
        yield
    except StorageUnavailable as error:
        database = container.database()
        if database.find_reason_to_wait is None:
            raise
        raise Failure(
            f"cannot use the database at {database.name} (ORDERGATE_DATABASE_URL): {error}"
        ) from None


def has_current_schema(container: Container) -> bool:
    """Report whether a migration would change nothing."""

    async def do_nothing() -> None:
        pass

    try:
        with_storage(container, do_nothing)
    except ApplicationError:
        return False
    return True


def check_storage(container: Container) -> None:
    """Check that the storage is reachable and its schema is current."""
    with_storage(container, container.storage().ping)


def warn_of_several_writers(container: Container) -> None:
    """Log what several processes risk that write the database file, if anything."""
    storage = container.storage()
    if container.storage_file() is None or not isinstance(storage, StorageInspector):
        return
    facts = with_storage(container, storage.inspect)
    if facts.risk:
        advice = "install a newer version, or serve with one worker"
        _log.warning("several_workers_risk_data", extra={"reason": facts.risk, "advice": advice})


def check_file(container: Container) -> None:
    """Check the database file for damage, for a limited time.

    Raises `StorageUnavailable` with the file and the next step. A thread continues the check and
    logs its result.
    """
    file = container.storage_file()
    if file is not None and not file.check(seconds=_CHECK_SECONDS):
        _log.warning(
            "the database is too large to be checked before the start; it is checked meanwhile",
            extra={"seconds": _CHECK_SECONDS},
        )
        Thread(target=_check_on, args=(file,), name="storage-check", daemon=True).start()


def _check_on(file: StorageFile) -> None:
    try:
        file.check(seconds=None)
    except StorageUnavailable as error:
        _log.error("%s", error)
    else:
        _log.info("the database was checked and is not damaged")
