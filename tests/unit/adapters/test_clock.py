"""The system clock when the wall clock is set."""

import logging
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from ordergate.adapters.system.system_clock import SystemClock
from ordergate.adapters.tokens.jwt_token_verifier import JwtTokenVerifier
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import InvalidToken
from tests.support.tokens.access_tokens import CLAIMS, NOW, token
from tests.support.tokens.jose import SECRET

HOUR = 3_600
START = 1_777_000_000


class Hands:
    """The two clocks of a computer, in seconds."""

    def __init__(self) -> None:
        self.wall: float = START
        self.tick: float = 7

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.tick += seconds


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def clock(hands: Hands) -> SystemClock:
    return SystemClock(lambda: hands.wall, lambda: hands.tick)


def seconds(clock: SystemClock) -> float:
    return clock.now().timestamp() - START


def test_clock_follows_the_wall_clock_forward(clock: SystemClock, hands: Hands) -> None:
    hands.pass_time(1)
    assert seconds(clock) == 1
    hands.wall += HOUR
    assert seconds(clock) == 3_601
    hands.pass_time(1)
    assert seconds(clock) == 3_602


@pytest.mark.parametrize("idle", [0.001, HOUR / 2, 2 * HOUR])
def test_clock_goes_on_when_the_wall_clock_is_set_back(
    clock: SystemClock, hands: Hands, idle: float
) -> None:
    hands.pass_time(10)
    assert seconds(clock) == 10
    hands.wall -= HOUR
    assert seconds(clock) == 10
    for _ in range(4):
        before = seconds(clock)
        hands.pass_time(idle)
        assert seconds(clock) == pytest.approx(before + idle, abs=1e-6)


def test_clock_follows_the_wall_clock_after_it_has_caught_up(
    clock: SystemClock, hands: Hands
) -> None:
    clock.now()
    hands.wall -= HOUR
    hands.pass_time(1)
    assert seconds(clock) == 1
    hands.wall += HOUR + 5
    assert seconds(clock) == 6


def test_clock_accepts_a_wall_clock_that_drifts(clock: SystemClock, hands: Hands) -> None:
    for _ in range(10):
        clock.now()
        hands.tick += 24 * HOUR
        hands.wall += 24 * HOUR - 20  # 230 millionths
        assert clock.now() == datetime.fromtimestamp(hands.wall, UTC)


def test_clock_warns_once_when_the_wall_clock_is_set_back(
    clock: SystemClock, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    hands.wall -= 0.5
    clock.now()
    assert not caplog.records
    hands.wall -= HOUR
    for _ in range(3):
        hands.pass_time(1)
        clock.now()
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "clock_set_back")
    assert vars(record)["seconds"] == 3_600


def test_clock_never_goes_back_in_any_thread() -> None:
    clock = SystemClock()
    found: list[bool] = []
    interval = sys.getswitchinterval()
    # A thread that starts installs coverage's trace function, which must not be interrupted.
    started = threading.Barrier(4, action=lambda: sys.setswitchinterval(1e-5))

    def read() -> None:
        started.wait()
        times = [clock.now() for _ in range(20_000)]
        found.append(times == sorted(times))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    sys.setswitchinterval(interval)
    assert found == [True] * 4


def test_expired_token_stays_expired_when_the_clock_is_set_back(hands: Hands) -> None:
    hands.wall = NOW
    keys = KeySet.from_keys([SigningKey.from_secret(SECRET.decode()).verifying()])
    verifier = JwtTokenVerifier(
        lambda claims: claims.text("sub"),
        clock=SystemClock(lambda: hands.wall, lambda: hands.tick),
        issuer="https://orders.example",
        audiences=["orders"],
        leeway=timedelta(seconds=5),
    )
    assert verifier.verify(token(), keys) == CLAIMS["sub"]
    hands.pass_time(HOUR)
    with pytest.raises(InvalidToken):
        verifier.verify(token(), keys)
    hands.wall -= HOUR
    with pytest.raises(InvalidToken):
        verifier.verify(token(), keys)
