"""What a worker publishes once a second."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from ordergate.adapters.metrics.instruments import Instruments
from ordergate.application.ports.passwords import HasherInspector, PasswordHasher
from ordergate.application.ports.sessions import SessionCacheInspector
from ordergate.application.ports.storage import (
    GroupCommitInspector,
    PoolInspector,
    ServerInspector,
    Storage,
)
from ordergate.application.ports.tokens import IssuerKeysInspector

T = TypeVar("T")

_SECONDS = 1.0

_log = logging.getLogger("ordergate.server")


class Publisher:
    """Publishes requests, and the load of adapters that state it.

    Values of several processes cannot be read when Prometheus asks. An error of one part is logged
    when it begins, and stops no other part.
    """

    def __init__(
        self,
        instruments: Instruments,
        hasher: PasswordHasher | None,
        storage: Storage,
        revocation: object = None,
        issuers: Mapping[str, IssuerKeysInspector] | None = None,
    ) -> None:
        loads = instruments.loads
        self._parts: dict[str, Callable[[], None]] = {"requests": instruments.publish_requests}
        if hasher is not None and isinstance(hasher, HasherInspector):
            self._parts["hashing"] = lambda: loads.set_hashing(hasher.count_jobs())
        if isinstance(storage, PoolInspector):
            self._publish("connections", storage.count_connections, loads.set_connections)
        if isinstance(storage, ServerInspector):
            self._publish("round_trips", storage.count_work, loads.set_work)
        if isinstance(storage, GroupCommitInspector):
            self._publish("group_commits", storage.count_commits, loads.set_commits)
        if isinstance(revocation, SessionCacheInspector):
            self._publish("session_cache", revocation.get_age, loads.set_session_cache)
        if issuers:
            self._parts["issuer_keys"] = lambda: loads.set_issuer_keys(
                {issuer: keys.inspect() for issuer, keys in issuers.items()}
            )
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

    def _publish(
        self, part: str, state: Callable[[], T | None], publish: Callable[[T], None]
    ) -> None:
        """Add a part that may state nothing."""

        def publish_if_stated() -> None:
            if (stated := state()) is not None:
                publish(stated)

        self._parts[part] = publish_if_stated
