"""The clock."""

from abc import abstractmethod
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """A clock that is never set back."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the time in UTC, never earlier than a previous result.

        Expired values therefore stay expired when the system clock is set back.
        """
