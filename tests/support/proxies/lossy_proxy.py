"""A proxy that loses, delays and cuts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit


class LossyProxy:
    """A proxy that counts, drops and delays what passes.

    `delay` is how many seconds each message to the server takes longer.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.sent: list[bytes] = []
        self.losing_answers_to: bytes | None = None
        self.lost = 0
        self.silent = False
        self.delay = 0.0
        self.gone_once_lost = False
        self.silent_once_lost = False
        self._connections = 0
        self._serving: set[asyncio.Task[None]] = set()
        self._forgotten = 0

    def forget_connections(self) -> None:
        """Drop the bytes of open connections without closing, like a balancer."""
        self._forgotten = self._connections

    async def measure_delay(self, call: Callable[[], Awaitable[object]], delay: float) -> float:
        """Return how many delays a call waits for, as a median."""

        async def measure(seconds: float) -> float:
            self.delay = seconds
            began = perf_counter()
            await call()
            return perf_counter() - began

        added = [await measure(delay) - await measure(0.0) for _ in range(20)]
        return median(added) / delay

    @property
    def url(self) -> str:
        host = self._parts.netloc.rpartition(":")[0]
        return self._parts._replace(netloc=f"{host}:{self._port}").geturl()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LossyProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            if self._serving:
                await asyncio.wait(self._serving, timeout=5)

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        if self.lost and self.gone_once_lost:
            back.close()
            return
        server, to_server = await asyncio.open_connection(
            self._parts.hostname, self._parts.port or 5432
        )
        losing = asyncio.Event()
        self._connections += 1
        number = self._connections

        async def there() -> None:
            while data := await client.read(65_536):
                if number <= self._forgotten:
                    continue
                self.sent.append(data)
                if self.losing_answers_to is not None and self.losing_answers_to in data:
                    self.losing_answers_to = None
                    losing.set()
                    self.lost += 1
                if self.delay:
                    await asyncio.sleep(self.delay)
                if not self.silent:
                    to_server.write(data)

        both_ways = (there(), self._pass_answers(server, back, losing))
        moving = [asyncio.create_task(each) for each in both_ways]
        with suppress(ConnectionError):
            await asyncio.wait(moving, return_when=asyncio.FIRST_COMPLETED)
        for task in moving:
            task.cancel()
        await asyncio.gather(*moving, return_exceptions=True)
        back.close()
        to_server.close()

    async def _pass_answers(
        self, server: asyncio.StreamReader, back: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await server.read(65_536):
            if not losing.is_set():
                back.write(data)
            elif not self.silent_once_lost:
                return
