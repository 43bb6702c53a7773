"""The computer's clock."""

from datetime import UTC, datetime

from application.ports.clock import Clock


class SystemClock(Clock):
    """Real time, in UTC."""

    def now(self) -> datetime:
        """Tell the time, to the microsecond."""
        return datetime.now(UTC)
