"""The hosts of a URL, in the order of their attempts."""

import random
from collections import deque

import asyncpg

from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection, connect
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl, Host

CONNECT_SECONDS = 3.0
"""The time limit for a host to accept a connection."""


class Hosts:
    """Connects to the first usable host; moves unusable ones to the end.

    The driver would share one time limit among all hosts, which the first could use up. With
    `load_balance_hosts=random`, each connection asks the hosts in another order, and those that
    were unusable at the last attempt after the others.
    """

    def __init__(
        self, url: DatabaseUrl, *, statement_seconds: float, sends_settings: bool = True
    ) -> None:
        self._urls = deque(url.split())
        self._unusable: set[Host] = set()
        self._is_balanced = url.parameters.is_balanced
        self._statement_seconds = statement_seconds
        self._sends_settings = sends_settings

    @property
    def first(self) -> DatabaseUrl:
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
        for url in self._order():
            try:
                connection = await connect(
                    url,
                    seconds=CONNECT_SECONDS,
                    statement_seconds=statement_seconds,
                    sends_settings=self._sends_settings,
                )
            except (OSError, asyncpg.PostgresError, asyncpg.TargetServerAttributeNotMatched) as e:
                failure = e
                self._unusable.update(url.hosts)
                if self._urls[0] is url:
                    self._urls.rotate(-1)
            else:
                self._unusable.difference_update(url.hosts)
                return connection
        raise failure

    def _order(self) -> list[DatabaseUrl]:
        urls = list(self._urls)  # parallel connections rotate the queue too
        if self._is_balanced:
            random.shuffle(urls)
            urls.sort(key=lambda url: url.hosts[0] in self._unusable)
        return urls
