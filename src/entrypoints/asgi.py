"""The application for any ASGI server.

`uvicorn --factory ordergate.entrypoints.asgi:create` serves it. A request comes from the
connection's peer, whatever uvicorn's own options for proxies say; `ORDERGATE_TRUSTED_PROXIES` names
proxies.
"""

import logging

from fastapi import FastAPI

from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.settings import SettingsError
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.http.app import create_app

_LEFT_TO_THE_SERVER = (
    "size of a head before it is complete",
    "number of pipelined requests",
    "order of answers beside a malformed request",
    "form of a request target",
    "time to send a head",
)
"""Bounds that `BoundedHttpProtocol` has, and that no application can have."""

_log = logging.getLogger("ordergate.server")


def create() -> FastAPI:
    """Make the application for any server; log which bounds are left to that server.

    Raises what `create_for_serve` raises.
    """
    app = create_for_serve()
    _log.warning("bounds_left_to_the_server", extra={"bounds": ", ".join(_LEFT_TO_THE_SERVER)})
    return app


def create_for_serve() -> FastAPI:
    """Make the application that the environment's settings describe, for `ordergate serve`.

    Wrong settings end the process with one line that names them all.
    """
    try:
        settings = load_checked_settings()
    except SettingsError as error:
        raise SystemExit("ordergate: " + "; ".join(error.problems)) from None
    configure_logging(settings, buffered=True)
    return create_app(Container(settings=settings))
