"""The life of a service: what is opened before the first request and closed after the last."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.tokens import TokenVerifier
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # it loads an HTTP client
    from ordergate.adapters.tokens.keys.remote_key_set import RemoteKeySet


@asynccontextmanager
async def run_service(
    *,
    settings: Settings,
    storage: Storage,
    verifier: Callable[[], TokenVerifier],
    hasher: Callable[[], PasswordHasher],
    throttle: Callable[[], Throttle],
    remote_keys: Callable[[], "RemoteKeySet"],
) -> AsyncIterator[None]:
    """Open all that requests use, and close it in the reverse order, also after an error.

    Everything is made now, while there are file descriptors for the modules. Raises what making
    the verifier raises, for a key that cannot sign, and what `Storage.open` raises.
    """
    async with AsyncExitStack() as closing:
        verifier()
        closing.push_async_callback(storage.close)
        if settings.issues_tokens:
            closing.push_async_callback(throttle().close)
            closing.callback(hasher().close)
        else:
            closing.push_async_callback(remote_keys().close)
        await storage.open()
        yield
