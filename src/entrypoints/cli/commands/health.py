"""`ordergate health`: whether the server of this host is ready."""

import json
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import typer

from ordergate.entrypoints.cli.runtime import Failure
from ordergate.entrypoints.factories.checked_settings import load_checked_settings

health = typer.Typer()

_SECONDS = 5


@health.command("health")
def check_health() -> None:
    """Ask the server of this host whether it is ready; for containers.

    ORDERGATE_LISTEN_HOST and ORDERGATE_LISTEN_PORT say where; 0.0.0.0 and :: lead to this host.
    """
    settings = load_checked_settings()
    host, port = settings.listen_host, settings.listen_port
    try:
        with closing(HTTPConnection(host, port, timeout=_SECONDS)) as server:
            server.request("GET", "/readyz")
            answer = server.getresponse()
            body = answer.read()
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Failure(f"{host} port {port} does not answer: {reason}") from None
    if answer.status != HTTPStatus.OK:
        raise Failure(f"the server is not ready: {_explain(body) or answer.reason}")
    typer.echo("The server is ready.")


def _explain(body: bytes) -> str:
    """Return the detail of a problem, if the body is one."""
    try:
        return str(json.loads(body)["detail"])
    except (KeyError, TypeError, ValueError):
        return ""
