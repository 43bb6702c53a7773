"""Limits of requests by address and by user."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ordergate.domain.user import UserId


class RatePolicy(StrEnum):
    """What requests are counted by: their address or their user.

    The user is that of a verified token.
    """

    ADDRESS = "address"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Quota:
    """The number of requests that a policy allows in a window."""

    policy: RatePolicy
    requests: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a policy allows a request, and how many more.

    `remaining` further requests are allowed within the next `seconds`, which are at least 1.
    """

    policy: RatePolicy
    is_allowed: bool
    remaining: int
    seconds: int


class RateLimiter(Protocol):
    """Counts requests, and says which are too many.

    A window begins with its first request. Refused requests do not prolong it. No method fails.
    """

    @property
    @abstractmethod
    def quotas(self) -> Sequence[Quota]:
        """The quotas in force, one for each policy."""

    @abstractmethod
    async def count_address(self, address: str) -> Allowance | None:
        """Count a request from an address.

        It also counts for the IPv6 /48, which has 10 times the quota of an address. Returns `None`
        without a quota for addresses.
        """

    @abstractmethod
    async def count_client(self, user: UserId) -> Allowance | None:
        """Count a request of a user.

        Returns `None` without a quota for users.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release all resources; may be called twice."""
