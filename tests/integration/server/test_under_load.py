"""A server with many parallel clients, or with a storage that fails."""

import asyncio
import json
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.program.command import PASSWORD, PATIENT, SECONDS, ordergate, wait_until
from tests.support.program.server import Server, Start

pytestmark = pytest.mark.timing

MANY = httpx2.Limits(max_connections=None, max_keepalive_connections=0)


async def sign_in_user1(client: httpx2.AsyncClient, username: str = "user1") -> dict[str, str]:
    answer = await client.post("/login", data={"username": username, "password": PASSWORD})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def costly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve with costly hashes, one thread and a short waiting time."""
    folder = tmp_path_factory.mktemp("costly")
    settings: dict[str, Any] = {"BCRYPT_COST": 10, "HASHING_THREADS": 1, "HASHING_QUEUE": 8}
    settings |= PATIENT
    assert ordergate("migrate", cwd=folder).returncode == 0
    seed = ordergate(
        "seed", "--users", 2, "--orders", 10, cwd=folder, **settings, PASSWORD=PASSWORD
    )
    assert seed.returncode == 0, seed.stderr
    server = Server.start("serve", cwd=folder, **settings)
    yield server
    server.stop()


@pytest.fixture
async def client(costly: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=costly.url, limits=MANY, timeout=60) as client:
        yield client


async def test_answer_on_a_kept_connection_is_sent_without_delay(costly: Server) -> None:
    """Nagle's algorithm would delay each by 40 ms, until an acknowledgement."""
    async with httpx2.AsyncClient(base_url=costly.url) as client:
        times = []
        for _ in range(20):
            started = time.perf_counter()
            await client.get("/livez")
            times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.03


async def test_parallel_connections_are_all_answered(client: httpx2.AsyncClient) -> None:
    headers = await sign_in_user1(client)
    answers = await asyncio.gather(
        *(client.get("/order?id=1", headers=headers) for _ in range(500))
    )
    assert [answer.status_code for answer in answers] == [200] * 500
    assert {answer.json()["id"] for answer in answers} == {1}


async def test_reads_continue_beside_40_failed_sign_ins(client: httpx2.AsyncClient) -> None:
    headers = await sign_in_user1(client)
    wrong = [
        asyncio.create_task(
            client.post("/login", data={"username": f"user{i % 4}", "password": "wrong"})
        )
        for i in range(40)
    ]
    reads = 0
    while not all(attempt.done() for attempt in wrong):
        assert (await client.get("/order?id=1", headers=headers)).status_code == 200
        reads += 1
    answers = [attempt.result() for attempt in wrong]
    refused = [answer for answer in answers if answer.status_code == 400]
    turned_away = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) + len(turned_away) == 40
    assert len(refused) >= 9
    assert turned_away
    for answer in turned_away:
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"] == "temporarily_unavailable"
    assert reads > len(refused)


async def test_refusals_take_the_same_time(client: httpx2.AsyncClient) -> None:
    """Compare medians of interleaved runs.

    A skipped hash would be many times faster.
    """
    cases = {
        "wrong password": ("user1", "a wrong password"),
        "unknown user": ("nobody", "a wrong password"),
        "no password": ("user1", "x" * 5000),
        "no name": ("no\tbody", "a wrong password"),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(15):
        for name, (username, password) in cases.items():
            started = time.perf_counter()
            answer = await client.post("/login", data={"username": username, "password": password})
            times[name].append(time.perf_counter() - started)
            assert answer.status_code == 400
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        assert 0.7 < median / medians["wrong password"] < 1.4, (name, medians)


async def test_abandoned_sign_ins_do_not_stop_the_pool(
    client: httpx2.AsyncClient,
) -> None:
    """Nine places are taken, and more clients than that leave."""
    hasty = httpx2.Timeout(60, read=0.01)
    form = {"username": "u", "password": "x"}
    for _ in range(12):
        with suppress(httpx2.ReadTimeout):
            await client.post("/login", data=form, timeout=hasty)
    deadline = time.monotonic() + SECONDS
    while (await client.post("/login", data=form)).status_code == 503:
        assert time.monotonic() < deadline


def start_with_one_order(folder: Path, start: Start) -> Server:
    assert ordergate("migrate", cwd=folder).returncode == 0
    settings = {"BCRYPT_COST": 4}
    ordergate("seed", "--users", 1, "--orders", 1, cwd=folder, PASSWORD=PASSWORD, **settings)
    return start("serve", cwd=folder, **settings)


async def test_failed_storage_is_answered_503_without_details(tmp_path: Path, start: Start) -> None:
    server = start_with_one_order(tmp_path, start)
    async with httpx2.AsyncClient(base_url=server.url) as client:
        headers = await sign_in_user1(client)
        assert (await client.get("/readyz")).status_code == 200
        with closing(sqlite3.connect(tmp_path / ".ordergate" / "ordergate.db")) as database:
            database.execute("DROP TABLE order_lines")
            database.execute("DROP TABLE ordergate_version")
        for address in ("/readyz", "/order?id=1"):
            answer = await client.get(address, headers=headers)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["detail"] == "The storage does not answer; try again soon."
        assert (await client.get("/livez")).status_code == 200


async def test_json_log_contains_no_request_and_no_secret(tmp_path: Path, start: Start) -> None:
    server = start_with_one_order(tmp_path, start)
    async with httpx2.AsyncClient(base_url=server.url) as client:
        headers = await sign_in_user1(client)
        assert (await client.get("/order?id=1", headers=headers)).status_code == 200
        assert (await client.get("/order?id=1")).status_code == 401
        with closing(sqlite3.connect(tmp_path / ".ordergate" / "ordergate.db")) as database:
            database.execute("DROP TABLE order_lines")
        failed = await client.get("/order?id=1", headers=headers | {"X-Request-ID": "the-last"})
    assert failed.status_code == 503
    wait_until(lambda: "the-last" in "".join(server.output))
    lines = [json.loads(line) for line in server.output]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    for secret in (PASSWORD, headers["Authorization"].split()[1], "id=1", "user1"):
        assert secret not in "".join(server.output)
