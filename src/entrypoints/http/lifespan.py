"""Start and stop an application together with an adopter's."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import chain
from typing import Any

from fastapi import FastAPI
from starlette.types import Lifespan


@asynccontextmanager
async def _start_nothing(_app: FastAPI) -> AsyncIterator[None]:
    yield


def surround_lifespan(
    run_service: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    lifespan: Lifespan[FastAPI] | None,
    get_own: Callable[[], FastAPI],
) -> Lifespan[FastAPI]:
    """Run the adopter's lifespan and event handlers within the service's.

    An application above Ordergate may start it, and the own one may have handlers as well.
    """
    inner = lifespan or _start_nothing

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[Any]:
        async with run_service(app):
            started = [*dict.fromkeys([get_own(), app])]
            for each in started:
                await _call_handlers(each, "on_startup")
            async with inner(app) as state:
                yield state
            for each in reversed(started):
                await _call_handlers(each, "on_shutdown")

    return run


async def _call_handlers(app: FastAPI, kind: str) -> None:
    """Call the handlers of the application; included routers call their own."""
    others = [*chain.from_iterable(_list_included(app, kind))]
    for handler in getattr(app.router, kind):
        if handler in others:
            continue
        called = handler()
        if inspect.isawaitable(called):
            await called


def _list_included(app: FastAPI, kind: str) -> Iterable[list[Callable[[], object]]]:
    for route in app.router.routes:
        router = getattr(route, "original_router", None)
        if router is not None:
            yield getattr(router, kind)
