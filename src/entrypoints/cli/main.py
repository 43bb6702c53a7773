"""The `ordergate` command.

Every mistake is one line on standard error that says what to do, and an exit status: 1 for a
failure, 2 for a mistake in the command line, 128 + the number of a signal: 130 after Ctrl-C, 143
after SIGTERM, 129 after SIGHUP. A server that has drained exits with 0.
"""

import errno
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from socket import socket
from typing import Annotated, Any, TypeVar

import typer

from ordergate.application.errors import (
    ApplicationError,
    StorageNotEmpty,
    StorageUnavailable,
    UsernameTaken,
)
from ordergate.domain.errors import DomainError
from ordergate.entrypoints.cli import backup as cli_backup
from ordergate.entrypoints.cli import keys as cli_keys
from ordergate.entrypoints.cli import orders as cli_orders
from ordergate.entrypoints.cli import storage as cli_storage
from ordergate.entrypoints.cli.runtime import (
    Failure,
    check_file,
    check_storage,
    load_container,
    migrate_storage,
    require_token_issuer,
    whole_number,
    with_storage,
)
from ordergate.entrypoints.cli.waiting import Wait, WaitingCommand, wait_for_schema
from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.settings import SettingsError, password_given
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.factories.databases import make_home
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.server import serving as server
from ordergate.entrypoints.server.serving import CannotListen

DEMO_PASSWORD = "ordergate-demo"
DEMO_ORDERS = 20

T = TypeVar("T")

_INTERRUPTED = 130
_LAST_PORT = 65_535
_UNWRITABLE = {errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}
"""Without a file name, these errors are about standard output: adapters name their files."""

cli = typer.Typer(
    name="ordergate",
    help="An order API that knows who is asking and which orders are theirs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
users = typer.Typer(help="Accounts.", no_args_is_help=True)
cli.add_typer(users, name="users")
cli.add_typer(cli_keys.keys, name="keys")
cli.add_typer(cli_backup.backups)
cli.add_typer(cli_orders.orders, name="orders")
cli.add_typer(cli_storage.storage)

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[
    int,
    typer.Option(
        parser=whole_number(0, _LAST_PORT),
        metavar="NUMBER",
        help=f"The port, up to {_LAST_PORT}; 0 lets the system choose.",
    ),
]


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands the option's value over
    if wanted:
        typer.echo(f"ordergate {version('ordergate')}")
        raise typer.Exit


@cli.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Handle options before a command."""


@cli.command(cls=WaitingCommand)
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[
        int,
        typer.Option(
            parser=whole_number(1, 256), metavar="NUMBER", help="Worker processes, up to 256."
        ),
    ] = 1,
    wait: Wait = None,
) -> None:
    """Serve the API on a storage with a current schema."""
    container = load_container()
    check_file(container)
    wait_for_schema(container, wait)
    check_storage(container)
    container.verifier()
    with server.listen(host, port) as listening:
        _serve("ordergate.entrypoints.asgi:create_for_serve", listening, container, workers=workers)


@cli.command()
def demo(port: Port = 8000) -> None:
    """Serve the API locally, with example users and orders."""
    settings = load_checked_settings()
    settings = settings.model_copy(
        update={
            "home": settings.home / "demo",
            "database_url": None,
            "signing_key_file": None,
            "signing_secret": None,
            "jwks_url": None,
        }
    )
    configure_logging(settings)
    other = port - 1 if port == _LAST_PORT else port + 1
    advice = f"choose another: `make demo PORT={other}`, or `ordergate demo --port {other}`"
    with server.listen("127.0.0.1", port, advice=advice) as listening:
        make_home(settings.home.parent)
        settings = settings.model_copy(update={"issuer": server.url_of(listening)})
        container = Container(settings=settings)
        check_file(container)
        migrate_storage(container)
        with suppress(StorageNotEmpty):  # it is full from an earlier run
            with_storage(
                container,
                lambda: container.seed_storage()(
                    users=2, orders=DEMO_ORDERS, password=DEMO_PASSWORD
                ),
            )
        container.tokens()
        typer.echo(_welcome(server.url_of(listening), settings.home))
        _serve(create_app(container), listening, container)


@users.command("add")
def register_user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user name.")],
) -> None:
    """Register an account; ORDERGATE_PASSWORD, its _FILE or a prompt gives the password."""
    container = require_token_issuer()
    check_storage(container)
    password = password_given() or _ask_password()
    user = with_storage(container, lambda: container.register_user()(name, password))
    typer.echo(f"Added user {user.username} with id {user.id}.")


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document, as JSON in UTF-8."""
    document = create_app(Container(settings=load_checked_settings())).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False).encode())


def main() -> None:
    """Run the command; turn errors into lines and exit statuses."""
    status: int | None = 1
    _open_standard_streams()
    try:
        status = cli(standalone_mode=False)
        if status == _INTERRUPTED:
            _complain("interrupted")
    except typer.TyperException as error:
        status = error.exit_code
        _complain(error.format_message().replace("Value error, ", ""))
    except typer.Abort:
        _complain("no password was given")
    except (Failure, ApplicationError, CannotListen, DomainError, SettingsError) as error:
        _complain(_explain(error))
    except OSError as error:
        stream = "standard output" if error.errno in _UNWRITABLE else "the system refused"
        _complain(f"{error.filename or stream}: {error.strerror}")
    sys.exit(status)


def _open_standard_streams() -> None:
    """Open missing standard streams, as after `2>&-` in a shell, on nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the process ends


def _complain(message: str) -> None:
    help_text = message.startswith("Usage:")
    with suppress(OSError):  # standard error is full or closed: the exit status remains
        typer.echo(message if help_text else "ordergate: " + " ".join(message.split()), err=True)


def _explain(error: Exception) -> str:
    match error:
        case SettingsError():
            return "; ".join(error.problems)
        case UsernameTaken():
            return "this user name is taken; choose another"
        case StorageNotEmpty():
            return "there are users or orders already; seed a new database (ORDERGATE_DATABASE_URL)"
        case StorageUnavailable():
            return f"cannot use the database (ORDERGATE_DATABASE_URL, ORDERGATE_HOME): {error}"
        case _:
            return str(error)


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise Failure("there is no terminal to ask for a password; set ORDERGATE_PASSWORD")
    try:
        password: str = typer.prompt(
            "Password", hide_input=True, confirmation_prompt=True, err=True
        )
    except UnicodeDecodeError:
        raise Failure("the password is not UTF-8") from None
    return password


def _serve(
    app: Callable[..., Any] | str, listening: socket, container: Container, *, workers: int = 1
) -> None:
    configure_logging(container.settings(), buffered=True)
    if not server.serve(app, listening, database=container.database().name, workers=workers):
        raise Failure("the server did not start; the log says why")


_AN_ORDER = json.dumps(
    {
        "currency": "EUR",
        "lines": [{"sku": "POT", "name": "Teapot", "quantity": 1, "unit_price": "64.00"}],
    }
)


def _welcome(url: str, home: Path) -> str:
    return f"""
Ordergate is on {url}, its data in {home}

  users       user1 and user2, both with the password {DEMO_PASSWORD}
  orders      1, 3, 5 ... are user1's; 2, 4, 6 ... are user2's

Sign in, and keep the token:

  TOKEN=$(curl -s {url}/login -d username=user1 -d password={DEMO_PASSWORD} \\
    | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')

Read an order of user1's, then one of user2's (404: for user1 it does not exist):

  curl -i -H "Authorization: Bearer $TOKEN" "{url}/order?id=1"
  curl -i -H "Authorization: Bearer $TOKEN" "{url}/order?id=2"

Place an order; the key makes it one, however often you send this:

  curl -i -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: my-first-teapot" \\
    -H "Content-Type: application/json" {url}/orders -d '{_AN_ORDER}'

Try everything in a browser: {url}/docs
Stop with Ctrl-C.
"""
