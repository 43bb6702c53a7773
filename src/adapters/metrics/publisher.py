"""What a worker publishes once a second."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from ordergate.adapters.metrics.instruments import Instruments
from ordergate.application.ports.passwords import HasherInspector, PasswordHasher
from ordergate.application.ports.storage import PoolInspector, Storage

_SECONDS = 1.0

_log = logging.getLogger("ordergate.server")


class Publisher:
    """Publishes requests, and the load of adapters that state it.

    Values of several processes cannot be read when Prometheus asks. An error of one part is logged
    when it begins, and stops no other part.
    """

    def __init__(
        self, instruments: Instruments, hasher: PasswordHasher | None, storage: Storage
    ) -> None:
        self._instruments = instruments
        self._parts: dict[str, Callable[[], None]] = {"requests": instruments.publish_requests}
        if hasher is not None and isinstance(hasher, HasherInspector):
            self._parts["hashing"] = lambda: instruments.set_hashing(hasher.count_jobs())
        if isinstance(storage, PoolInspector):
            self._parts["database"] = lambda: self._publish_connections(storage)
        self._failing: set[str] = set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Publish once a second within the block, and at its end."""
        publishing = asyncio.create_task(self._repeat())
        try:
            yield
        finally:
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing
            self.publish()

    def publish(self) -> None:
        """Publish every part now."""
        for name, publish in self._parts.items():
            try:
                publish()
            except Exception:  # noqa: BLE001 - the other parts go on, and so does the server
                if name not in self._failing:
                    _log.exception("metrics_not_published", extra={"part": name})
                self._failing.add(name)
            else:
                self._failing.discard(name)

    async def _repeat(self) -> None:
        while True:
            self.publish()
            await asyncio.sleep(_SECONDS)

    def _publish_connections(self, storage: PoolInspector) -> None:
        if load := storage.count_connections():
            self._instruments.set_connections(load)
