"""`ordergate migrate`, `seed`, `copy` and `purge`: operations on a whole storage."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from ordergate.application.errors import (
    CopyUnfinished,
    SchemaNotCurrent,
    StorageMissing,
    StorageNotEmpty,
    StorageUnavailable,
)
from ordergate.application.maintenance.copy_storage import CopyStorage, Stage, require_archive
from ordergate.application.ports.storage import Storage
from ordergate.domain.order import Order
from ordergate.entrypoints.cli.passwords import PasswordStdin, read_password
from ordergate.entrypoints.cli.runtime import (
    Failure,
    check_storage,
    has_current_schema,
    load_container,
    make_number_parser,
    migrate_storage,
    with_storage,
)
from ordergate.entrypoints.cli.waiting import Wait, WaitingCommand, wait_for_server
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import find_database_url_error, make_storage
from ordergate.entrypoints.server.signals import Terminated

storage = typer.Typer()

_STATEMENT_SECONDS = 3_600
"""The time limit of a statement of a copy: counting takes minutes."""

# An access token lives for a day at most, and for five minutes more where clocks differ. The
# session that it belongs to has to be known to have ended for as long.
_LEAST_KEPT_DAYS = 2


@storage.command(cls=WaitingCommand)
def migrate(wait: Wait = None) -> None:
    """Create or update the schema; safe to repeat."""
    container = load_container()
    wait_for_server(container, wait)
    was_current = has_current_schema(container)
    migrate_storage(container)
    unchanged = "was current already; nothing changed" if was_current else "is current"
    typer.echo(f"The schema of {container.database().name} {unchanged}.")


@storage.command()
def seed(
    users: Annotated[
        int,
        typer.Option(
            parser=make_number_parser(1, 10_000_000),
            metavar="N",
            help="Users user1 to userN, 10000000 at most.",
        ),
    ],
    orders: Annotated[
        int,
        typer.Option(
            parser=make_number_parser(0, 1_000_000_000),
            metavar="M",
            help="Orders 1 to M, 1000000000 at most.",
        ),
    ],
    *,
    password_stdin: PasswordStdin = False,
) -> None:
    """Fill an empty storage with example data, the same at every run.

    User ((i-1) mod N)+1 owns order i. All users have one password, which comes from standard input,
    from ORDERGATE_PASSWORD or its _FILE, or from a prompt.
    """
    container = load_container()
    check_storage(container)
    password = read_password(lambda _given: None, stdin=password_stdin)
    with _show_progress() as progress:

        def watch(made: Iterator[Order]) -> Iterable[Order]:
            return progress.track(made, total=orders, description="orders")

        with_storage(
            container,
            lambda: container.seed_storage()(
                users=users, orders=orders, password=password, watch=watch
            ),
        )
    typer.echo(f"Loaded {users} users and {orders} orders.")


@storage.command("copy")
def copy_storage(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The database to copy.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="An empty database.")],
) -> None:
    """Copy all data to an empty database, and verify it.

    After an interruption, the same command continues. URLs are like ORDERGATE_DATABASE_URL. Stop
    all programs that write to either database first.
    """
    container = load_container()
    for option, url in (("--from", source), ("--to", target)):
        if flaw := find_database_url_error(url):
            raise typer.BadParameter(f"{option} {flaw}")
    if source == target:
        raise typer.BadParameter("--from and --to name the same database")
    settings = make_copy_settings(container.settings())
    try:
        counts, others = asyncio.run(
            _copy(make_storage(source, settings), make_storage(target, settings))
        )
    except (KeyboardInterrupt, Terminated):
        typer.echo("Run the same command again to go on.", err=True)
        raise
    what = ", ".join(f"{count} {name}" for name, count in counts.items())
    typer.echo(f"Copied and verified {what}.")
    if others:
        typer.echo(f"Not copied, because these tables are not Ordergate's: {', '.join(others)}.")


def make_copy_settings(settings: Settings) -> Settings:
    """Return the settings for both storages, which connect without a pooler."""
    changes = {"database_statement_seconds": _STATEMENT_SECONDS, "database_settings": "connection"}
    return settings.model_copy(update=changes)


async def _copy(source: Storage, target: Storage) -> tuple[Mapping[str, int], Sequence[str]]:
    archive = require_archive(source, "from")
    require_archive(target, "into")
    try:
        with _name_storage("--from"):
            await source.open()
        with _name_storage("--to"):
            await target.migrate()
            await target.open(unfinished=True)
        with _show_progress() as progress, _name_storage("one of the databases"):
            counts = await CopyStorage(source, target)(watch=_Bars(progress))
            return counts, await archive.list_left_behind()
    except StorageNotEmpty:
        raise Failure("--to: the database is not empty; copy into a new one") from None
    finally:
        await source.close()
        await target.close()


@contextmanager
def _name_storage(name: str) -> Iterator[None]:
    """Name the storage that an error comes from."""
    try:
        yield
    except StorageMissing as error:
        raise Failure(f"{name}: there is no database at {error.place}; check the URL") from None
    except (CopyUnfinished, SchemaNotCurrent, StorageUnavailable) as error:
        raise Failure(f"{name}: {error}") from None


class _Bars:
    """A progress bar for each stage of a copy."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {stage: progress.add_task(stage, total=None, start=False) for stage in Stage}

    def __call__(self, stage: Stage, done: int, total: int) -> None:
        task = self._tasks[stage]
        self._progress.start_task(task)
        self._progress.update(task, completed=done, total=total)


@contextmanager
def _show_progress() -> Iterator[Progress]:
    """Show progress bars on a terminal only."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


@storage.command()
def purge(
    keep_sessions_days: Annotated[
        int,
        typer.Option(
            parser=make_number_parser(_LEAST_KEPT_DAYS, 36_500),
            metavar="DAYS",
            help=f"Days that sessions are kept after they ended or expired, {_LEAST_KEPT_DAYS} "
            "to 36500.",
        ),
    ] = 90,
) -> None:
    """Remove expired idempotency keys and old sessions; for cron."""
    container = load_container()
    keep = timedelta(days=keep_sessions_days)
    purged = with_storage(container, lambda: container.purge_storage()(keep_sessions=keep))
    typer.echo(f"Removed {purged.keys} idempotency keys and {purged.sessions} sessions.")
