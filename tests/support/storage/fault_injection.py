"""Storages in SQL, whose steps fail when a test says so."""

from dataclasses import dataclass


@dataclass
class Failure:
    """Fails the `at`-th step; `happened` says whether it was reached."""

    at: int
    seen: int = 0
    happened: bool = False

    def step(self, error: Exception) -> None:
        """Raise the storage's own error if it is this step's turn."""
        self.seen += 1
        if self.seen == self.at:
            self.happened = True
            raise error
