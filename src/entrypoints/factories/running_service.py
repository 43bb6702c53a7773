"""The life of a service, from the first request to the last."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.application.ports.storage import SeparateOrders, Storage
from ordergate.application.ports.tokens import TokenVerifier
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # it loads an HTTP client
    from ordergate.adapters.tokens.keys.remote_key_set import RemoteKeySet


@asynccontextmanager
async def run_service(
    *,
    settings: Settings,
    storage: Storage,
    separate_orders: SeparateOrders | None,
    verifier: Callable[[], TokenVerifier],
    hasher: Callable[[], PasswordHasher],
    throttle: Callable[[], Throttle],
    remote_keys: Callable[[], "RemoteKeySet"],
) -> AsyncIterator[None]:
    """Open all parts that requests use, and close them afterwards.

    They are closed in reverse order, also after errors. All parts are made now, while file
    descriptors are available for imports. Raises errors of the verifier, for an unusable key, and
    of `Storage.open`.
    """
    async with AsyncExitStack() as closing:
        verifier()
        closing.push_async_callback(storage.close)
        if separate_orders:
            closing.push_async_callback(separate_orders.close)
        if settings.issues_tokens:
            closing.push_async_callback(throttle().close)
            closing.callback(hasher().close)
        else:
            closing.push_async_callback(remote_keys().close)
        await storage.open()
        yield
