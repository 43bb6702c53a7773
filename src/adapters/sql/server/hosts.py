"""The hosts of a URL, in the order of their attempts."""

import random
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

CONNECT_SECONDS = 3.0
"""The time limit for a host to accept a connection."""

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
U = TypeVar("U")
U_contra = TypeVar("U_contra", contravariant=True)


class Connect(Protocol[U_contra, C_co]):
    """Connects to the only host of a URL within `seconds`.

    `statement_seconds` of 0 sets no limit.
    """

    async def __call__(self, url: U_contra, *, seconds: float, statement_seconds: float) -> C_co:
        """Connect, or raise a failure of the driver."""


class Hosts(Generic[U, C]):
    """Connects to the first usable host; moves unusable ones to the end.

    A driver would share one time limit among all hosts, which the first could use up. Each URL has
    one host. `connect` raises one of `failures` for an unusable host. When `is_balanced`, each
    connection asks the hosts in another order, and those that were unusable at the last attempt
    after the others.
    """

    def __init__(
        self,
        urls: Sequence[U],
        connect: Connect[U, C],
        *,
        failures: tuple[type[Exception], ...],
        statement_seconds: float,
        is_balanced: bool = False,
    ) -> None:
        self._urls = deque(urls)
        self._connect_to = connect
        self._failures = failures
        self._unusable: set[int] = set()
        self._is_balanced = is_balanced
        self._statement_seconds = statement_seconds

    @property
    def first(self) -> U:
        """The URL of the next host."""
        return self._urls[0]

    async def connect(self) -> C:
        """Connect with the time limit of statements. Raises the last host's error."""
        return await self._connect(self._statement_seconds)

    async def connect_without_time_limit(self) -> C:
        """Connect without a time limit of statements."""
        return await self._connect(0)

    async def _connect(self, statement_seconds: float) -> C:
        failure: Exception = ConnectionError()
        for url in self._sort_hosts():
            try:
                connection = await self._connect_to(
                    url, seconds=CONNECT_SECONDS, statement_seconds=statement_seconds
                )
            except self._failures as error:
                failure = error
                self._unusable.add(id(url))
                if self._urls[0] is url:
                    self._urls.rotate(-1)
            else:
                self._unusable.discard(id(url))
                return connection
        raise failure

    def _sort_hosts(self) -> list[U]:
        urls = list(self._urls)  # parallel connections rotate the queue too
        if self._is_balanced:
            random.shuffle(urls)
            urls.sort(key=lambda url: id(url) in self._unusable)
        return urls
