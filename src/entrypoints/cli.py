"""The `ordergate` command.

Every mistake is one line on standard error that says what to do, and an exit status: 1 where the
world is not as it must be, 2 where the command was typed wrongly, 130 after Ctrl-C.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from socket import socket
from typing import Annotated, Any, Literal, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from application.errors import (
    ApplicationError,
    StorageNotEmpty,
    StorageUnavailable,
    UsernameTaken,
)
from domain.errors import DomainError
from domain.order import Order
from entrypoints import server
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.logs import configure_logging
from entrypoints.server import CannotListen
from entrypoints.settings import Settings, SettingsError, load_settings

DEMO_PASSWORD = "ordergate-demo"  # noqa: S105 - printed for whoever tries the demo
DEMO_ORDERS = 20

T = TypeVar("T")

_INTERRUPTED = 130

cli = typer.Typer(
    name="ordergate",
    help="An order API that knows who is asking and which orders are theirs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
users = typer.Typer(help="Accounts.", no_args_is_help=True)
keys = typer.Typer(help="Signing keys.", no_args_is_help=True)
cli.add_typer(users, name="users")
cli.add_typer(keys, name="keys")

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Kid = Annotated[str, typer.Argument(metavar="KID", help="The key's id, as `keys list` shows it.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 lets the system choose.")]


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
    """Take what stands before a command."""


@cli.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Worker processes.")] = 1,
) -> None:
    """Serve the API on a storage whose schema is current."""
    container = _container()
    _check_storage(container)
    container.verifier()
    with server.listen(host, port) as listening:
        _serve("entrypoints.asgi:create", listening, workers=workers)


@cli.command()
def demo(port: Port = 8000) -> None:
    """Serve the API on this computer with two users and real orders, in a folder of its own."""
    settings = load_settings(Container.key_flaw())
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
    with server.listen("127.0.0.1", port) as listening:
        settings = settings.model_copy(update={"issuer": server.url_of(listening)})
        container = Container(settings=settings)
        container.storage().migrate()
        with suppress(StorageNotEmpty):  # it is full from an earlier run
            _with_storage(
                container,
                lambda: container.seed_storage()(
                    users=2, orders=DEMO_ORDERS, password=DEMO_PASSWORD
                ),
            )
        container.tokens()
        typer.echo(_welcome(server.url_of(listening), settings.home))
        _serve(create_app(container), listening)


@cli.command()
def migrate() -> None:
    """Create the schema, or bring it to this version; safe to repeat."""
    _container().storage().migrate()
    typer.echo("The schema is current.")


@users.command("add")
def add_user(name: Annotated[str, typer.Argument(metavar="NAME", help="The user name.")]) -> None:
    """Open an account; the password comes from a prompt or from ORDERGATE_PASSWORD."""
    container = _container_of_sign_in()
    _check_storage(container)
    password = os.environ.get("ORDERGATE_PASSWORD") or _ask_password()
    user = _with_storage(container, lambda: container.add_user()(name, password))
    typer.echo(f"Added user {user.username} with id {user.id}.")


@cli.command()
def seed(
    users: Annotated[int, typer.Option(min=1, max=10_000_000, help="Users user1 to userN.")],
    orders: Annotated[int, typer.Option(min=0, max=1_000_000_000, help="Orders 1 to M.")],
) -> None:
    """Fill an empty storage: order i belongs to user ((i-1) mod N)+1, and every run is the same.

    All users have the password in ORDERGATE_PASSWORD.
    """
    password = os.environ.get("ORDERGATE_PASSWORD")
    if not password:
        raise _Failure("set ORDERGATE_PASSWORD to the password that all users get")
    container = _container()
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def watch(made: Iterator[Order]) -> Iterable[Order]:
            return progress.track(made, total=orders, description="orders")

        _with_storage(
            container,
            lambda: container.seed_storage()(
                users=users, orders=orders, password=password, watch=watch
            ),
        )
    typer.echo(f"Loaded {users} users and {orders} orders.")


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    document = create_app(Container(settings=load_settings(Container.key_flaw()))).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@keys.command("list")
def list_keys() -> None:
    """Show every key and where it is in its life: published, signing or verifying."""
    container = _container_of_sign_in()
    settings = container.settings()
    if _static_key(settings):
        key = container.signing_keys().signing()
        rows = [(key.kid, key.algorithm, "signing", "-")]
    else:
        rows = [
            (each.kid, each.key.algorithm, str(each.status), _time(each.since))
            for each in container.signing_keys().all_keys()
        ]
    for kid, algorithm, status, since in [("KID", "ALGORITHM", "STATUS", "SINCE"), *rows]:
        typer.echo(f"{kid:<43}  {algorithm:<9}  {status:<9}  {since}")


@keys.command("new")
def new_key(
    algorithm: Annotated[
        Literal["EdDSA", "ES256", "RS256"] | None,
        typer.Option(help="What the key signs with; EdDSA if nothing is said."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take the private key of a PEM file."),
    ] = None,
) -> None:
    """Publish a new key, which may sign once everybody has had time to learn of it.

    The first key of all signs at once.
    """
    if file and algorithm:
        raise typer.BadParameter("--from and --algorithm exclude each other")
    ring = _key_ring()
    _tell(ring, ring.publish_from(file) if file else ring.publish(algorithm or "EdDSA"))


# A key's id may begin with a dash, and must not be taken for an option then.
_WITH_KID = {"ignore_unknown_options": True}


@keys.command("promote", context_settings=_WITH_KID)
def promote_key(
    kid: Kid,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Even if some verifiers may not know the key yet.")
    ] = False,
) -> None:
    """Let a published key sign; the one that signed only verifies from then on."""
    ring = _key_ring()
    _tell(ring, ring.promote(kid, early=now))


@keys.command("retire", context_settings=_WITH_KID)
def retire_key(
    kid: Kid,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Even if that ends tokens that are good: a stolen key.")
    ] = False,
) -> None:
    """Remove a published key, or one whose tokens have all expired."""
    ring = _key_ring()
    _tell(ring, ring.retire(kid, early=now))


@keys.command("rotate")
def rotate_keys(
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Let a new key sign at once; tokens stay good.")
    ] = False,
) -> None:
    """Take the steps of a rotation that are due, and say when the next one is; made for cron."""
    ring = _key_ring()
    changed = ring.rotate(early=now)
    _tell(ring, changed)
    due = min((due for key in ring.all_keys() if (due := ring.due(key))), default=None)
    done = "" if changed else "Nothing is due. "
    when = f"at {_time(due)} or later" if due else "to begin a rotation"
    typer.echo(f"{done}Run it again {when}.")


class _Failure(Exception):
    """A reason to stop, as a line for whoever typed the command."""


def main() -> None:
    """Run the command; the only place where errors become lines and exit statuses."""
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
    except (_Failure, ApplicationError, CannotListen, DomainError, SettingsError) as error:
        _complain(_explain(error))
    except OSError as error:
        _complain(f"the system refused: {error.strerror}")
    sys.exit(status)


def _open_standard_streams() -> None:
    """Read from and write to nowhere where there is no stream, as after `2>&-` in a shell."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the process ends


def _complain(message: str) -> None:
    help_text = message.startswith("Usage:")
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


def _container() -> Container:
    settings = load_settings(Container.key_flaw())
    configure_logging(settings)
    return Container(settings=settings)


def _container_of_sign_in() -> Container:
    """Return the container of a service that signs people in."""
    container = _container()
    if not container.settings().signs_in:
        raise _Failure("ORDERGATE_JWKS_URL names another issuer, where accounts and keys are kept")
    return container


def _key_ring() -> Any:  # noqa: ANN401 - adapters are known to the container alone
    container = _container_of_sign_in()
    if variable := _static_key(container.settings()):
        raise _Failure(f"{variable} holds the one key; unset it to let `ordergate keys` keep keys")
    return container.signing_keys()


def _static_key(settings: Settings) -> str | None:
    """Name the variable that holds the only key there is, if one does."""
    if settings.signing_secret is not None:
        return "ORDERGATE_SIGNING_SECRET"
    return "ORDERGATE_SIGNING_KEY_FILE" if settings.signing_key_file is not None else None


def _tell(ring: Any, changed: Iterable[Any]) -> None:  # noqa: ANN401 - see _key_ring
    for key in changed:
        due = _time(ring.due(key)) if ring.due(key) else None
        match str(key.status):
            case "published":
                typer.echo(f"{key.kid} is published; it may sign from {due}.")
            case "verifying":
                typer.echo(f"{key.kid} only verifies; its tokens have expired by {due}.")
            case "signing":
                typer.echo(f"{key.kid} signs.")
            case _:
                typer.echo(f"{key.kid} is gone.")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _with_storage(container: Container, work: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            await container.storage().open()
            return await work()
        finally:
            await container.storage().close()

    return asyncio.run(run())


def _check_storage(container: Container) -> None:
    _with_storage(container, container.storage().ping)


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise _Failure("there is no terminal to ask for a password; set ORDERGATE_PASSWORD")
    try:
        password: str = typer.prompt(
            "Password", hide_input=True, confirmation_prompt=True, err=True
        )
    except UnicodeDecodeError:
        raise _Failure("the password is not UTF-8") from None
    return password


def _serve(app: Callable[..., Any] | str, listening: socket, *, workers: int = 1) -> None:
    if not server.serve(app, listening, workers=workers):
        raise _Failure("the server did not start; the log says why")


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

Try everything in a browser: {url}/docs
Stop with Ctrl-C.
"""
