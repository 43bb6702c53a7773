"""Clock contract."""

import time
from datetime import timedelta

import pytest

from ordergate.application.ports.clock import Clock


class ClockContract:
    """`Clock`."""

    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError

    def test_now_is_aware_and_in_utc(self, clock: Clock) -> None:
        assert clock.now().utcoffset() == timedelta(0)

    def test_now_is_in_utc_in_every_time_zone(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            offset = clock.now().utcoffset()
        time.tzset()
        assert offset == timedelta(0)

    def test_now_never_decreases(self, clock: Clock) -> None:
        times = [clock.now() for _ in range(1_000)]
        assert times == sorted(times)
