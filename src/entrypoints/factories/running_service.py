"""Open and close the parts of a command or a service."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.application.ports.rate_limits import RateLimiter
from ordergate.application.ports.storage import SeparateOrders, Storage
from ordergate.application.ports.tokens import TokenVerifier
from ordergate.application.sessions.revocation import RevocationPolicy
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # it loads an HTTP client
    from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet


@asynccontextmanager
async def open_storage(
    storage: Storage, separate_orders: SeparateOrders | None
) -> AsyncIterator[None]:
    """Open the storage; close it and separate orders at the end.

    Closes them also after errors.

    Raises errors of `Storage.open`.
    """
    async with AsyncExitStack() as closing:
        closing.push_async_callback(storage.close)
        if separate_orders:
            closing.push_async_callback(separate_orders.close)
        await storage.open()
        yield


@asynccontextmanager
async def run_service(
    *,
    settings: Settings,
    storage: Storage,
    separate_orders: SeparateOrders | None,
    verifier: Callable[[], TokenVerifier],
    revocation: Callable[[], RevocationPolicy],
    hasher: Callable[[], PasswordHasher],
    throttle: Callable[[], Throttle],
    rate_limiter: Callable[[], RateLimiter | None],
    remote_keys: Callable[[], "dict[str, RemoteKeySet]"],
) -> AsyncIterator[None]:
    """Open all parts that requests use, and close them afterwards.

    They are closed in reverse order, also after errors. All parts are made now, while file
    descriptors are available for imports. Raises errors of the verifier, for an unusable key, and
    of `Storage.open`.
    """
    async with AsyncExitStack() as closing:
        verifier()
        revocation()  # before the storage can be replaced
        if limiter := rate_limiter():
            closing.push_async_callback(limiter.close)
        if settings.issues_tokens:
            closing.push_async_callback(throttle().close)
            closing.callback(hasher().close)
        else:
            for keys in remote_keys().values():
                closing.push_async_callback(keys.close)
                keys.start()
        async with open_storage(storage, separate_orders):
            yield
