"""Spans of use cases, between the container and the application."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from ordergate.adapters.system.tracing import CURRENT, Trace
from ordergate.entrypoints.http.services import Services

if TYPE_CHECKING:  # it imports this package
    from ordergate.entrypoints.container import Container

_UseCase = Callable[..., Awaitable[object]]


def trace_use_cases(container: "Container") -> Services:
    """Return the services, with spans of use cases if a setting asks."""
    is_off = container.settings().telemetry is None
    return container if is_off else cast("Services", _TracedServices(container))


class _TracedServices:
    """The parts of a container, with spans of use cases."""

    def __init__(self, container: "Container") -> None:
        self._container = container

    def __getattr__(self, name: str) -> object:
        provider = _TracedProvider(getattr(self._container, name))
        setattr(self, name, provider)  # the next look-up does not come here
        return provider


class _TracedProvider:
    """Returns a part; a traced use case within a recorded trace."""

    def __init__(self, provider: Callable[[], object]) -> None:
        self._provider = provider

    def __call__(self) -> object:
        """Return it."""
        part = self._provider()
        trace = CURRENT.get()
        if trace is None or not _is_use_case(part):
            return part
        return _TracedUseCase(cast("_UseCase", part), trace)

    def __getattr__(self, name: str) -> object:
        found: object = getattr(self._provider, name)
        return found


class _TracedUseCase:
    """Runs a use case within its span."""

    def __init__(self, use_case: _UseCase, trace: Trace) -> None:
        self._use_case = use_case
        self._trace = trace

    async def __call__(self, *positional: object, **named: object) -> object:
        """Run it."""
        with self._trace.begin(type(self._use_case).__name__, {}):
            return await self._use_case(*positional, **named)


def _is_use_case(part: object) -> bool:
    return callable(part) and inspect.iscoroutinefunction(part.__call__)
