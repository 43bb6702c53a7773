"""Waiting for a database server that starts later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ordergate.application.errors import ApplicationError, SchemaNotCurrent, StorageUnavailable
from ordergate.entrypoints.cli.runtime import make_number_parser
from ordergate.entrypoints.container import Container

_DEFAULT_SECONDS = 60
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_REPORT_SECONDS = 10.0

_log = logging.getLogger("ordergate.storage")

Wait = Annotated[
    int | None,
    typer.Option(
        "--wait",
        parser=make_number_parser(0, 86_400),
        metavar="[SECONDS]",
        show_default=False,
        help="Wait for a database server that starts later, 60 s if no number is given.",
    ),
]


class WaitingCommand(TyperCommand):
    """A command whose option `--wait` has an optional number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer hides it
        """Add the default number to a bare `--wait`."""
        given = [
            f"--wait={_DEFAULT_SECONDS}"
            if argument == "--wait" and not after.isdecimal()
            else argument
            for argument, after in zip(args, [*args[1:], ""], strict=False)
        ]
        return super().parse_args(ctx, given)


def wait_for_server(container: Container, seconds: int | None) -> None:
    """Wait until the database server accepts connections.

    `None` seconds and a file need no wait. Raises `StorageUnavailable` with the name of the server
    after the time limit. The next use of the database reports every permanent error.
    """
    _wait(container, seconds, container.database().find_reason_to_wait)


def wait_for_schema(container: Container, seconds: int | None) -> None:
    """Wait until the server accepts connections and its schema is current.

    Raises errors of `wait_for_server`, also for a schema that is not current.
    """
    unready = container.database().find_reason_to_wait
    if unready is None:
        return

    async def find_reason() -> str | None:
        return await unready() or await _find_schema_problem(container)

    _wait(container, seconds, find_reason)


async def _find_schema_problem(container: Container) -> str | None:
    try:
        await container.storage().open()
    except SchemaNotCurrent as error:
        return str(error) if error.needs_migration else None
    except ApplicationError:
        return None
    finally:
        await container.storage().close()
    return None


def _wait(
    container: Container, seconds: int | None, unready: Callable[[], Awaitable[str | None]] | None
) -> None:
    if seconds is not None and unready is not None:
        asyncio.run(_wait_until_ready(unready, seconds, container.database().name))


async def _wait_until_ready(
    unready: Callable[[], Awaitable[str | None]], seconds: int, name: str
) -> None:
    now = asyncio.get_running_loop().time
    begun, pause, reports = now(), _FIRST_PAUSE_SECONDS, 0
    while reason := await unready():
        waited = now() - begun
        if waited >= seconds:
            raise StorageUnavailable(
                f"the database at {name} was not ready within {seconds} s: {reason}"
            )
        if waited >= reports * _REPORT_SECONDS:
            reports += 1
            _log.info(
                "waiting for the database at %s", name, extra={"reason": reason, "seconds": seconds}
            )
        await asyncio.sleep(min(pause, seconds - waited))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
