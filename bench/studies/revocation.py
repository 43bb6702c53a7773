"""The cost of revocation: own-order reads under each setting.

    python bench/studies/revocation.py [--reads N] [--rounds N]

Everything runs in one process, through the whole application on a SQLite file, with the settings in
turn. The output has medians of the rounds and the ratio to `until-expiry`. Without sockets, the
share of the check is larger than clients see.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app

PASSWORD = "only for measuring"
SETTINGS: tuple[Any, ...] = ("until-expiry", 10, "at-once")


class Reader:
    """Reads an own order through an application, as an ASGI server would."""

    def __init__(self, home: Path, revocation: object) -> None:
        self.container = Container(
            settings=Settings(home=home, revocation=revocation, bcrypt_cost=4)
        )
        self.app = create_app(self.container)
        self.headers: list[tuple[bytes, bytes]] = []

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        address, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": address,
            "raw_path": address.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"in.process"), *self.headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    async def sign_in(self) -> None:
        self.headers = [(b"content-type", b"application/x-www-form-urlencoded")]
        form = f"username=user1&password={PASSWORD.replace(' ', '+')}".encode()
        status, body = await self.ask("POST", "/login", form)
        assert status == 200, body
        token = body.split(b'"access_token":"')[1].split(b'"')[0]
        self.headers = [(b"authorization", b"Bearer " + token)]

    async def reads_a_second(self, reads: int) -> float:
        started = time.perf_counter()
        for _ in range(reads):
            status, _body = await self.ask("GET", "/order?id=1")
            assert status == 200
        return reads / (time.perf_counter() - started)


async def measure(reads: int, rounds: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        readers = {str(setting): Reader(Path(folder), setting) for setting in SETTINGS}
        first = readers["until-expiry"].container
        await first.storage().migrate()
        await first.storage().open()
        await first.seed_storage()(users=2, orders=100, password=PASSWORD)
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for reader in readers.values():
            await reader.container.storage().open()
            await reader.sign_in()
            await reader.reads_a_second(reads // 10)
        for _ in range(rounds):
            for name, reader in readers.items():
                rates[name].append(await reader.reads_a_second(reads))
        for reader in readers.values():
            await reader.container.storage().close()
        return rates


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, add_help=True)
    arguments.add_argument("--reads", type=int, default=2000, help="reads in a round")
    arguments.add_argument("--rounds", type=int, default=9)
    options = arguments.parse_args()
    rates = asyncio.run(measure(options.reads, options.rounds))
    base = statistics.median(rates["until-expiry"])
    print("revocation      reads/s   (min to max)      ratio")
    for name, measured in rates.items():
        median = statistics.median(measured)
        span = f"({min(measured):.0f} to {max(measured):.0f})"
        print(f"{name:14}  {median:7.0f}   {span:16}  {median / base:.2f}")


if __name__ == "__main__":
    main()
