"""`ordergate health`: whether the server of this host is ready."""

import json
import socket
import ssl
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

import typer

from ordergate.entrypoints.cli.runtime import Failure
from ordergate.entrypoints.factories.checked_settings import load_checked_settings

health = typer.Typer()

_SECONDS = 5


class _UnixConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


@health.command("health")
def check_health() -> None:
    """Ask the server of this host whether it is ready; for containers.

    ORDERGATE_LISTEN_HOST and ORDERGATE_LISTEN_PORT, or ORDERGATE_LISTEN_UDS, say where; 0.0.0.0 and
    :: lead to this host. With ORDERGATE_TLS_CERTIFICATE_FILE it asks by TLS.
    """
    settings = load_checked_settings()
    host, port, path = settings.listen_host, settings.listen_port, settings.listen_uds
    place = str(path) if path else f"{host} port {port}"
    setting = "ORDERGATE_LISTEN_UDS" if path else "ORDERGATE_LISTEN_HOST or ORDERGATE_LISTEN_PORT"
    connection: HTTPConnection
    if path:
        connection = _UnixConnection(path)
    elif settings.tls_certificate_file:
        connection = HTTPSConnection(host, port, timeout=_SECONDS, context=_make_context())
    else:
        connection = HTTPConnection(host, port, timeout=_SECONDS)
    try:
        with closing(connection) as server:
            server.request("GET", "/readyz")
            answer = server.getresponse()
            body = answer.read()
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Failure(
            f"{place} does not answer: {reason}; start the server, or set {setting}"
        ) from None
    if answer.status != HTTPStatus.OK:
        reason = _explain(body) or answer.reason
        raise Failure(f"the server at {place} is not ready: {reason}")
    typer.echo(f"The server at {place} is ready.")


def _make_context() -> ssl.SSLContext:
    """Accept any certificate, because it names the public host."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _explain(body: bytes) -> str:
    """Return the detail of a problem, if the body is one."""
    try:
        return str(json.loads(body)["detail"])
    except (KeyError, TypeError, ValueError):
        return ""
