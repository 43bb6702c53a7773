"""A limiter of requests whose refusals are counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.adapters.metrics.instruments import Instruments
from ordergate.application.ports.rate_limits import Allowance, Quota, RateLimiter
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class MeasuredRateLimiter(RateLimiter):
    """Counts what another limiter refuses."""

    limiter: RateLimiter
    instruments: Instruments

    @property
    def quotas(self) -> Sequence[Quota]:
        """The quotas of the other limiter."""
        return self.limiter.quotas

    async def count_address(self, address: str) -> Allowance | None:
        """Count for the address."""
        return self._measured(await self.limiter.count_address(address))

    async def count_client(self, user: UserId) -> Allowance | None:
        """Count for the user."""
        return self._measured(await self.limiter.count_client(user))

    async def close(self) -> None:
        """Close the other limiter."""
        await self.limiter.close()

    def _measured(self, allowance: Allowance | None) -> Allowance | None:
        if allowance is not None and not allowance.is_allowed:
            self.instruments.over_quota[allowance.policy].inc()
        return allowance
