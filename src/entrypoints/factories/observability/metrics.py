"""Metrics for Prometheus, where a setting asks for them."""

import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dependency_injector.providers import Object
from fastapi import FastAPI
from starlette.types import Lifespan

from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.http.middleware.observing import FinishedRequest, Observe

if TYPE_CHECKING:  # it imports this package
    from ordergate.entrypoints.container import Container

_EVERY_HOST = frozenset({str(IPv4Address(0)), str(IPv6Address(0))})

_log = logging.getLogger("ordergate.server")


class Measurement(NamedTuple):
    """What measures an application, for `create_app`."""

    observers: Sequence[Observe] = ()
    lifespan: Lifespan[FastAPI] | None = None


def find_port_conflict(settings: Settings, host: str, port: int) -> str | None:
    """Describe the mistake of one port for two purposes, if any."""
    hosts = {"127.0.0.1" if each == "localhost" else each for each in (host, settings.metrics_host)}
    if not port or port != settings.metrics_port or (len(hosts) > 1 and not hosts & _EVERY_HOST):
        return None
    return (
        f"ORDERGATE_METRICS_PORT is {port}, which is the port of the service; choose another one,"
        " such as 9464"
    )


@contextmanager
def export_metrics(settings: Settings, *, workers: int) -> Iterator[None]:
    """Serve the metrics of later workers, if a port is set.

    Raises `CannotListen`.
    """
    if settings.metrics_port is None:
        yield
        return
    from ordergate.adapters.metrics.exporter import serve_metrics
    from ordergate.adapters.metrics.worker_files import make_folder
    from ordergate.entrypoints.server.listening import CannotListen

    host, port = settings.metrics_host, settings.metrics_port
    with ExitStack() as closing:
        try:
            folder = closing.enter_context(make_folder())
        except OSError as error:
            raise CannotListen(
                f"cannot keep metrics in a temporary folder: {error.strerror}; choose another one"
                " with TMPDIR"
            ) from None
        try:
            url = closing.enter_context(serve_metrics(folder, host, port, workers=workers))
        except OSError as error:
            raise CannotListen(
                f"cannot serve metrics on {host} port {port}: {error.strerror}; choose another"
                " address with ORDERGATE_METRICS_HOST or ORDERGATE_METRICS_PORT"
            ) from None
        _log.info("metrics_listening", extra={"metrics_url": url})
        yield


def measure(container: "Container") -> Measurement:
    """Measure the parts of a container, if the process above exports metrics.

    It comes before the use cases are made, which keep the parts.
    """
    from ordergate.adapters.metrics.worker_files import FOLDER

    settings = container.settings()
    if settings.metrics_port is None or FOLDER not in os.environ:
        return Measurement()
    from ordergate.adapters.metrics.instruments import Instruments
    from ordergate.adapters.metrics.measured_audit import MeasuredAudit
    from ordergate.adapters.metrics.measured_hasher import MeasuredHasher
    from ordergate.adapters.metrics.measured_rate_limiter import MeasuredRateLimiter
    from ordergate.adapters.metrics.publisher import Publisher

    instruments = Instruments.in_folder(Path(os.environ[FOLDER]))
    container.audit.override(Object(MeasuredAudit(container.audit(), instruments)))
    if limiter := container.rate_limiter():
        container.rate_limiter.override(Object(MeasuredRateLimiter(limiter, instruments)))
    hasher = container.hasher() if settings.issues_tokens else None
    if hasher is not None:
        container.hasher.override(Object(MeasuredHasher(hasher, instruments)))

    def observe(finished: FinishedRequest) -> None:
        instruments.count_request(
            finished.method, finished.route, finished.status, finished.seconds
        )

    @asynccontextmanager
    async def publish(_app: FastAPI) -> AsyncIterator[None]:
        publisher = Publisher(
            instruments,
            hasher,
            container.storage(),
            container.revocation(),
            {} if settings.issues_tokens else container.remote_keys(),
        )
        async with publisher.run():
            yield

    return Measurement([observe], publish)
