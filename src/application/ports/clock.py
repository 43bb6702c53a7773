"""The time."""

from abc import abstractmethod
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time."""

    @abstractmethod
    def now(self) -> datetime:
        """Tell the time, aware and in UTC."""
