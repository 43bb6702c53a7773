"""Traces by OpenTelemetry, where a setting asks for them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI
from starlette.types import Lifespan

from ordergate.application.errors import ApplicationError
from ordergate.domain.errors import DomainError
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.logs import add_to_lines
from ordergate.entrypoints.http.middleware.observing import BeginSpan
from ordergate.entrypoints.http.problems.mapping import to_problem
from ordergate.entrypoints.http.problems.problem import FIRST_OF_OURS

if TYPE_CHECKING:  # it imports this package
    from ordergate.entrypoints.container import Container


class Tracing(NamedTuple):
    """What traces an application, for `create_app`."""

    begin_span: BeginSpan | None = None
    lifespan: Lifespan[FastAPI] | None = None


def trace(container: "Container", lifespans: Sequence[Lifespan[FastAPI] | None]) -> Tracing:
    """Trace an application of these parts, if a setting asks for it.

    The lines of its log have the ids of the trace. The lifespans run one within the other, and the
    last spans are sent after them.
    """
    inner = [each for each in lifespans if each is not None]
    if container.settings().telemetry is None:
        return Tracing(lifespan=_nest(inner))
    try:  # the SDK reads some variables when it is imported
        from ordergate.adapters.telemetry.export import close_provider, make_provider
        from ordergate.adapters.telemetry.requests import RequestSpans
        from ordergate.adapters.telemetry.spans import find_ids

        provider = make_provider()
    except ValueError as error:
        raise SettingsError([f"a variable OTEL_* is wrong: {error}"]) from None
    begin_span = RequestSpans(provider, _is_refusal).begin
    add_to_lines(find_ids)

    @asynccontextmanager
    async def flush(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(close_provider, provider)

    return Tracing(begin_span, _nest([flush, *inner]))


def _is_refusal(error: BaseException) -> bool:
    """Report whether the caller gets an answer of 4xx."""
    if not isinstance(error, ApplicationError | DomainError):
        return False
    return to_problem(error).status < FIRST_OF_OURS


def _nest(lifespans: Sequence[Lifespan[FastAPI]]) -> Lifespan[FastAPI] | None:
    """Run each lifespan within the one before, with one state."""
    if len(lifespans) <= 1:
        return lifespans[0] if lifespans else None

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[Any]:
        state: dict[str, Any] = {}
        async with AsyncExitStack() as opened:
            for lifespan in lifespans:
                opening: AbstractAsyncContextManager[Any] = lifespan(app)
                state |= await opened.enter_async_context(opening) or {}
            yield state or None

    return run
