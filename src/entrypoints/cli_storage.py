"""`ordergate copy` and `ordergate purge`: what is done to the storage as a whole."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from application.copy_storage import CopyStorage, Stage
from application.errors import (
    CopyUnfinished,
    SchemaNotCurrent,
    StorageNotEmpty,
    StorageUnavailable,
)
from application.ports.storage import Storage
from entrypoints.command import Failure, container_of_settings, with_storage
from entrypoints.container import storage_of
from entrypoints.settings import Settings

storage = typer.Typer()

_STATEMENT_SECONDS = 3_600
"""How long a statement of a copy may take: nobody waits for it, and counting takes minutes."""

# An access token lives for a day at most, and for five minutes more where clocks differ. The
# session that it belongs to has to be known to have ended for as long.
_LEAST_KEPT_DAYS = 2


@storage.command("copy")
def copy_storage(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="What is copied.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="An empty database.")],
) -> None:
    """Copy everything into an empty database, and verify it; run it again to go on.

    URLs are like ORDERGATE_DATABASE_URL. Stop whatever writes to either database before.
    """
    container = container_of_settings()
    flaw_in = container.flaws_in()["database_url"]
    for option, url in (("--from", source), ("--to", target)):
        if flaw := flaw_in(url):
            raise typer.BadParameter(f"{option} {flaw}")
    if source == target:
        raise typer.BadParameter("--from and --to name the same database")
    settings = settings_of_copy(container.settings())
    counts = asyncio.run(_copy(storage_of(source, settings), storage_of(target, settings)))
    what = ", ".join(f"{count} {name}" for name, count in counts.items())
    typer.echo(f"Copied and verified {what}.")


def settings_of_copy(settings: Settings) -> Settings:
    """Return settings under which both storages of a copy are opened."""
    return settings.model_copy(update={"database_statement_seconds": _STATEMENT_SECONDS})


async def _copy(source: Storage, target: Storage) -> Mapping[str, int]:
    try:
        with _told_as("--from"):
            await source.open()
        with _told_as("--to"):
            await target.migrate()
            await target.open(unfinished=True)
        with _progress() as watch, _told_as("one of the databases"):
            return await CopyStorage(source, target)(watch=watch)
    except StorageNotEmpty:
        raise Failure("--to: the database is not empty; copy into a new one") from None
    finally:
        await source.close()
        await target.close()


@contextmanager
def _told_as(name: str) -> Iterator[None]:
    """Say which of two storages refused."""
    try:
        yield
    except (CopyUnfinished, SchemaNotCurrent, StorageUnavailable) as error:
        raise Failure(f"{name}: {error}") from None


class _Bars:
    """A bar on a terminal for each stage of a copy; nothing elsewhere."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {stage: progress.add_task(stage, total=None, start=False) for stage in Stage}

    def __call__(self, stage: Stage, done: int, total: int) -> None:
        task = self._tasks[stage]
        self._progress.start_task(task)
        self._progress.update(task, completed=done, total=total)


@contextmanager
def _progress() -> Iterator[_Bars]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Bars(progress)


@storage.command()
def purge(
    keep_sessions_days: Annotated[
        int,
        typer.Option(
            min=_LEAST_KEPT_DAYS,
            max=36_500,
            help="For how many days sessions are kept after they ended or expired.",
        ),
    ] = 90,
) -> None:
    """Remove expired idempotency keys, and sessions that are over; made for cron."""
    container = container_of_settings()
    keep = timedelta(days=keep_sessions_days)
    purged = with_storage(container, lambda: container.purge_storage()(keep_sessions=keep))
    typer.echo(f"Removed {purged.keys} idempotency keys and {purged.sessions} sessions.")
