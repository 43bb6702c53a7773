"""The application for any ASGI server.

`uvicorn --factory entrypoints.asgi:create` serves it. A request comes from the connection's peer,
whatever uvicorn's own options for proxies say; `ORDERGATE_TRUSTED_PROXIES` names proxies.
"""

from fastapi import FastAPI

from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.logs import configure_logging
from entrypoints.settings import SettingsError, load_settings


def create() -> FastAPI:
    """Make the application that the environment's settings describe.

    Wrong settings end the process with one line that names them all.
    """
    try:
        settings = load_settings(Container.flaws_in())
    except SettingsError as error:
        raise SystemExit("ordergate: " + "; ".join(error.problems)) from None
    configure_logging(settings, buffered=True)
    return create_app(Container(settings=settings))
