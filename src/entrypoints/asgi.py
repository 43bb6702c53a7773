"""The application for any ASGI server.

`uvicorn --factory ordergate.entrypoints.asgi:create` serves it, and so does `fastapi run`, which
takes `app`. The client address is that of the connection under every server;
`ORDERGATE_TRUSTED_PROXIES` names proxies.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from fastapi import FastAPI
from starlette.types import Lifespan

from ordergate.entrypoints.chosen_container import make_container
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.logs import configure_logging, configure_own_log
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.factories.observability.metrics import measure
from ordergate.entrypoints.factories.observability.telemetry import trace
from ordergate.entrypoints.factories.observability.traced_use_cases import trace_use_cases
from ordergate.entrypoints.http.app import create_app

_LEFT_TO_THE_SERVER = (
    "size of a head before it is complete",
    "number of pipelined requests",
    "order of answers beside a malformed request",
    "form of a request target",
    "time to send a head",
)
"""Limits of `BoundedHttpProtocol` that an application cannot enforce."""

_log = logging.getLogger("ordergate.server")


def create(
    make_container: Callable[[Settings], Container] = make_container,
    *,
    scopes: Mapping[str, str] | None = None,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """Make the application for any server; log limits left to the server.

    `make_container` may choose adapters of its own; the default calls the function that
    `ORDERGATE_CONTAINER` names. `scopes` are the scopes of your own routes, by name, with a
    description for users. `lifespan` is yours, as an argument of `FastAPI`; it runs within the
    service. The root logger stays as it is. Raises the errors of `create_for_serve`.
    """
    with _exit_on_wrong_settings():
        settings = load_checked_settings()
        configure_own_log(settings)
        container = _declare(scopes, make_container(settings))
        begin_span, lifespan = trace(container, [lifespan])
        services = trace_use_cases(container)
        app = create_app(services, lifespan=lifespan, begin_span=begin_span)
    if settings.metrics_port is not None:
        _log.warning("metrics_not_served", extra={"reason": "only `ordergate serve` serves them"})
    _log.warning("bounds_left_to_the_server", extra={"bounds": ", ".join(_LEFT_TO_THE_SERVER)})
    return app


@cache
def _make_app() -> FastAPI:
    return create()


def __getattr__(name: str) -> FastAPI:
    """Make `app` when it is read, for servers that call no function."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _make_app()


def _declare(scopes: Mapping[str, str] | None, container: Container) -> Container:
    if scopes is not None:
        container.scopes.override(scopes)
    return container


def create_for_serve(make_container: Callable[[Settings], Container] = make_container) -> FastAPI:
    """Make the application of the environment's settings, for `ordergate serve`.

    Wrong settings end the process with a line for each mistake.
    """
    with _exit_on_wrong_settings():
        settings = load_checked_settings()
        configure_logging(settings, buffered=True)
        container = make_container(settings)
        observers, publish = measure(container)
        begin_span, lifespan = trace(container, [publish])
        services = trace_use_cases(container)
        return create_app(services, lifespan=lifespan, observers=observers, begin_span=begin_span)


@contextmanager
def _exit_on_wrong_settings() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        lines = (f"ordergate: {problem}" for problem in error.problems)
        raise SystemExit("\n".join(lines)) from None
