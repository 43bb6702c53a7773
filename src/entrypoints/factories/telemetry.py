"""Traces by OpenTelemetry, where a setting asks for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from fastapi import FastAPI
from starlette.types import Lifespan

from ordergate.adapters.system.tracing import CURRENT, Trace
from ordergate.application.errors import (
    ApplicationError,
    IssuerKeysUnavailable,
    MissingCapability,
    Overloaded,
    RecordUnreadable,
    SchemaNotCurrent,
    SigningKeyError,
    StorageUnavailable,
)
from ordergate.domain.errors import DomainError
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.logs import add_to_lines
from ordergate.entrypoints.http.middleware.observing import BeginSpan
from ordergate.entrypoints.http.services import Services

if TYPE_CHECKING:  # it imports this package
    from ordergate.entrypoints.container import Container


USE_CASES = frozenset(
    {
        "identify_caller",
        "authenticate_user",
        "refresh_session",
        "revoke_token",
        "list_sessions",
        "end_session",
        "end_all_sessions",
        "register_user",
        "get_account",
        "change_password",
        "close_account",
        "place_order",
        "get_own_order",
        "list_own_orders",
        "cancel_order",
    }
)
"""The members of `Services` that are use cases."""

_REFUSAL = (ApplicationError, DomainError)
_FAILURE = (
    IssuerKeysUnavailable,
    MissingCapability,
    Overloaded,
    RecordUnreadable,
    SchemaNotCurrent,
    SigningKeyError,
    StorageUnavailable,
)
"""The errors of the application that are no fault of the caller."""


_UseCase = Callable[..., Awaitable[object]]
_Provider = Callable[[], _UseCase]


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
    begin_span = RequestSpans(provider).begin
    add_to_lines(find_ids)

    @asynccontextmanager
    async def flush(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(close_provider, provider)

    return Tracing(begin_span, _nest([flush, *inner]))


def trace_use_cases(container: "Container") -> Services:
    """Return the services, with spans of use cases if they are traced."""
    is_off = container.settings().telemetry is None
    return container if is_off else cast("Services", _TracedServices(container))


class _TracedServices:
    """The parts of a container, with spans of use cases."""

    def __init__(self, container: "Container") -> None:
        self._container = container

    def __getattr__(self, name: str) -> object:
        part: object = getattr(self._container, name)
        if name in USE_CASES:
            part = _TracedProvider(cast("_Provider", part))
            setattr(self, name, part)  # the next look-up does not come here
        return part


class _TracedProvider:
    """Returns a use case, as it is without a recorded trace."""

    def __init__(self, provider: _Provider) -> None:
        self._provider = provider

    def __call__(self) -> _UseCase:
        """Return it."""
        use_case = self._provider()
        trace = CURRENT.get()
        return use_case if trace is None else _TracedUseCase(use_case, trace)

    def __getattr__(self, name: str) -> object:
        found: object = getattr(self._provider, name)
        return found


class _TracedUseCase:
    """Runs a use case within its span."""

    def __init__(self, use_case: _UseCase, trace: Trace) -> None:
        self._use_case = use_case
        self._trace = trace

    async def __call__(self, *positional: object, **named: object) -> object:
        """Run it; a refusal is an outcome, and another error a failure."""
        with self._trace.begin(type(self._use_case).__name__, {}) as span:
            try:
                return await self._use_case(*positional, **named)
            except _FAILURE:
                raise
            except _REFUSAL as error:
                span.add({"ordergate.outcome": type(error).__name__})
                refusal = error
        raise refusal


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
