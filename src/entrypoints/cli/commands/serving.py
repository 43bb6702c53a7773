"""`ordergate serve`, `demo` and `openapi`: the API, and its document."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from socket import socket
from typing import Annotated, Any

import typer

from ordergate.application.errors import StorageNotEmpty
from ordergate.entrypoints.cli.runtime import (
    Failure,
    check_file,
    check_storage,
    load_container,
    make_number_parser,
    migrate_storage,
    parse_file_path,
    read_root_path,
    warn_of_several_writers,
    with_storage,
)
from ordergate.entrypoints.cli.waiting import Wait, WaitingCommand, wait_for_schema
from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.setting_values import UNIX
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.factories.databases import make_home
from ordergate.entrypoints.factories.observability.metrics import export_metrics, find_port_conflict
from ordergate.entrypoints.factories.tls import find_tls_files
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.server import serving as server
from ordergate.entrypoints.server.connection_limits import ConnectionLimits
from ordergate.entrypoints.server.listening import (
    LAST_PORT,
    get_listening_url,
    listen,
    listen_on_path,
    suggest_port,
)
from ordergate.entrypoints.server.systemd import take_passed_socket

DEMO_PASSWORD = "ordergate-demo"
DEMO_ORDERS = 20

_IGNORED_BY_DEMO = {
    *("database_url", "identity_provider", "issuer", "jwks_url", "metrics_port", "telemetry"),
    *("read_database_url", "signing_key_file", "signing_secret"),
    *("tls_certificate_file", "tls_key_file"),
}

servers = typer.Typer()

_PORT = typer.Option(
    parser=make_number_parser(0, LAST_PORT),
    metavar="NUMBER",
    help=f"The port, up to {LAST_PORT}; 0 lets the system choose.",
)


@servers.command(cls=WaitingCommand)
def serve(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = None,
    port: Annotated[int | None, _PORT] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            parser=make_number_parser(1, 256), metavar="NUMBER", help="Worker processes, up to 256."
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            parser=read_root_path,
            metavar="PATH",
            help="The prefix that a proxy removes from addresses, such as /shop.",
        ),
    ] = "",
    uds: Annotated[
        Path | None,
        typer.Option(
            parser=parse_file_path,
            metavar="PATH",
            help="The Unix socket to listen on, instead of an address and a port.",
        ),
    ] = None,
    wait: Wait = None,
) -> None:
    """Serve the API on a storage with a current schema.

    ORDERGATE_LISTEN_HOST, ORDERGATE_LISTEN_PORT, ORDERGATE_LISTEN_UDS and ORDERGATE_WORKERS are the
    defaults. A socket that systemd passes comes before all of them.
    """
    container = load_container()
    settings = container.settings()
    check_file(container)
    wait_for_schema(container, wait)
    check_storage(container)
    container.verifier()
    container.known_scopes()
    if tls := find_tls_files(settings):
        tls.make_context()
    workers = workers or settings.workers
    if workers > 1:
        warn_of_several_writers(container)
    with (
        _listen(settings, host, port, uds) as listening,
        export_metrics(settings, workers=workers),
    ):
        app = "ordergate.entrypoints.asgi:create_for_serve"
        _serve(app, listening, container, workers=workers, root_path=root_path)


def _listen(
    settings: Settings, host: str | None, port: int | None, uds: Path | None
) -> AbstractContextManager[socket]:
    """Open the socket of systemd, of the options or of the settings."""
    if passed := take_passed_socket():
        return passed
    if host is None and port is None:
        uds = uds or settings.listen_uds
    elif uds:
        raise Failure("choose --uds, or --host and --port")
    if uds:
        if settings.tls_certificate_file is not None:
            raise Failure("choose --uds or ORDERGATE_TLS_CERTIFICATE_FILE")
        return listen_on_path(uds)
    host = settings.listen_host if host is None else host
    port = settings.listen_port if port is None else port
    if conflict := find_port_conflict(settings, host, port):
        raise Failure(conflict)
    return listen(host, port)


@servers.command()
def demo(port: Annotated[int, _PORT] = 8000) -> None:
    """Serve the API locally, with example users and orders."""
    given = load_checked_settings()
    settings = given.model_copy(
        update={"home": given.home / "demo"} | dict.fromkeys(_IGNORED_BY_DEMO)
    )
    configure_logging(settings)
    other = suggest_port(port)
    advice = f"choose another: `make demo PORT={other}`, or `ordergate demo --port {other}`"
    with listen("127.0.0.1", port, advice=advice) as listening:
        make_home(settings.home.parent)
        settings = settings.model_copy(update={"issuer": get_listening_url(listening)})
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
        typer.echo(_write_welcome(get_listening_url(listening), settings.home))
        if ignored := sorted(_IGNORED_BY_DEMO & given.model_fields_set):
            names = ", ".join(PREFIX + name.upper() for name in ignored)
            typer.echo(f"A demo has its own data, keys and issuer, and ignores {names}.\n")
        _serve(create_app(container), listening, container)


@servers.command()
def openapi() -> None:
    """Print the OpenAPI document, as JSON in UTF-8."""
    document = create_app(Container(settings=load_checked_settings())).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False).encode())


def _serve(
    app: Callable[..., Any] | str,
    listening: socket,
    container: Container,
    *,
    workers: int = 1,
    root_path: str = "",
) -> None:
    settings = container.settings()
    tls = find_tls_files(settings)
    configure_logging(settings, buffered=True)
    has_served = server.serve(
        app,
        listening,
        database=container.database().name,
        workers=workers,
        root_path=root_path,
        drain_seconds=settings.drain_seconds,
        limits=ConnectionLimits(
            head_seconds=settings.head_seconds,
            body_seconds=settings.body_seconds,
            answer_seconds=settings.answer_seconds,
            connections=settings.connections,
            connections_per_address=settings.connections_per_address,
            unlimited_networks=tuple(each for each in settings.trusted_proxies if each != UNIX),
        ),
        make_tls=tls.make_context if tls else None,
    )
    if not has_served:
        raise Failure("the server did not start; the log says why")


_AN_ORDER = json.dumps(
    {
        "currency": "EUR",
        "lines": [{"sku": "POT", "name": "Teapot", "quantity": 1, "unit_price": "64.00"}],
    }
)


def _write_welcome(url: str, home: Path) -> str:
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
