"""The time."""

from abc import abstractmethod
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the time, aware and in UTC, never earlier than a call before returned.

        What has expired by this clock stays expired, whatever the computer's clock is set to.
        """
