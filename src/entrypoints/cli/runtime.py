"""What commands have in common: a container, an open storage, and how they give up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Thread
from typing import TypeVar

import typer

from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.storage_file import StorageFile
from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.plain_text import path_flaw
from ordergate.entrypoints.config.settings import load_settings
from ordergate.entrypoints.container import Container

T = TypeVar("T")

_CHECK_SECONDS = 2.0
"""How long the start may wait for a look at the database's file."""

_MOST_DIGITS = 20
"""The most digits of a number on the command line; those of the largest id are 19."""

_log = logging.getLogger("ordergate.storage")


class Failure(Exception):
    """A reason to stop, as one line for the user of the command."""


def file_path(text: str) -> Path:
    """Read the path of a file on the command line. Raises `typer.BadParameter`."""
    if flaw := path_flaw(text):
        raise typer.BadParameter(f"the path {flaw}")
    return Path(text)


def whole_number(least: int, most: int) -> Callable[[str | int], int]:
    """Return what reads a number from `least` to `most` in decimal digits on the command line.

    It raises `typer.BadParameter` for anything else.
    """

    def parse(text: str | int) -> int:  # a default is an int already
        digits = str(text)
        plain = digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS
        if not plain or not least <= int(digits) <= most:
            raise typer.BadParameter(f"must be a whole number from {least} to {most}")
        return int(digits)

    return parse


def load_container() -> Container:
    """Read the settings and configure the log. Raises `SettingsError`.

    Commands hash at normal priority; at idle priority they could starve beside a busy server.
    """
    settings = load_settings(Container.setting_validators())
    configure_logging(settings)
    container = Container(settings=settings)
    container.hasher.add_kwargs(low_priority=False)
    return container


def require_token_issuer() -> Container:
    """Return the container of a service that signs people in; raises `Failure` for any other."""
    container = load_container()
    if not container.settings().issues_tokens:
        raise Failure("ORDERGATE_JWKS_URL names another issuer, where accounts and keys are kept")
    return container


def with_storage(container: Container, work: Callable[[], Awaitable[T]]) -> T:
    """Do the work while the storage is open. Raises what `Storage.open` and the work raise."""

    async def run() -> T:
        try:
            await container.storage().open()
            return await work()
        finally:
            await container.storage().close()

    return asyncio.run(run())


def migrate_storage(container: Container) -> None:
    """Bring the schema to this version. Raises what `Storage.migrate` raises."""

    async def run() -> None:
        try:
            await container.storage().migrate()
        finally:
            await container.storage().close()

    asyncio.run(run())


def check_storage(container: Container) -> None:
    """See that the storage answers and its schema is current, before anything starts."""
    with_storage(container, container.storage().ping)


def check_file(container: Container) -> None:
    """See that the storage's file, if it is one, is not damaged, as far as there is time for that.

    Raises `StorageUnavailable` that says which it is and what to do. The rest is looked at on a
    thread, which logs what it finds.
    """
    file: StorageFile | None = container.storage_file()
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
