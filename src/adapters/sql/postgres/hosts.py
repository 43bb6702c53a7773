"""The hosts of a URL, in the order of their attempts."""

from collections import deque

import asyncpg

from ordergate.adapters.sql.postgres.connection import PostgresConnection, connect
from ordergate.adapters.sql.postgres.url import split_hosts

CONNECT_SECONDS = 3.0
"""The time limit for a host to accept a connection."""


class Hosts:
    """Connects to the first usable host; moves unusable ones to the end.

    The driver would share one time limit among all hosts, which the first could use up.
    """

    def __init__(self, url: str, *, statement_seconds: float) -> None:
        self._urls = deque(split_hosts(url))
        self._statement_seconds = statement_seconds

    @property
    def first(self) -> str:
        """The URL of the next host."""
        return self._urls[0]

    async def connect(self) -> PostgresConnection:
        """Connect with the time limit of statements. Raises the last host's error."""
        return await self._connect(self._statement_seconds)

    async def connect_without_time_limit(self) -> PostgresConnection:
        """Connect without a time limit of statements."""
        return await self._connect(0)

    async def _connect(self, statement_seconds: float) -> PostgresConnection:
        failure: Exception = ConnectionError()
        for url in tuple(self._urls):  # parallel connections rotate the queue too
            try:
                return await connect(
                    url, seconds=CONNECT_SECONDS, statement_seconds=statement_seconds
                )
            except (OSError, asyncpg.PostgresError, asyncpg.TargetServerAttributeNotMatched) as e:
                failure = e
                if self._urls[0] is url:
                    self._urls.rotate(-1)
        raise failure
