"""A password hasher whose time and refusals are measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from ordergate.adapters.metrics.instruments import Instruments
from ordergate.application.errors import Overloaded, Throttled
from ordergate.application.ports.passwords import PasswordHasher, Requester, Verification
from ordergate.domain.user import Password, PasswordHash


@dataclass(frozen=True, slots=True)
class MeasuredHasher(PasswordHasher):
    """Measures the work of another hasher."""

    hasher: PasswordHasher
    instruments: Instruments

    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        """Hash and measure."""
        with self._measured():
            return await self.hasher.hash(password, requester)

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        """Verify and measure."""
        with self._measured():
            return await self.hasher.verify(password, stored, requester)

    def close(self) -> None:
        """Close the other hasher."""
        self.hasher.close()

    @contextmanager
    def _measured(self) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        except Overloaded:
            self.instruments.queue_full.inc()
            raise
        except Throttled:
            self.instruments.account_limit.inc()
            raise
        self.instruments.hashing_seconds.observe(perf_counter() - began)
