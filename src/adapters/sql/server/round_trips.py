"""The round trips to a server, counted for those who ask."""

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class RoundTrips:
    """Counts what an engine sends, from the first `count` on.

    Until then, statements are not observed and take no longer. A commit is `of_a_commit` round
    trips: its own, and that of a BEGIN which the driver sends unseen.
    """

    def __init__(self, engine: AsyncEngine, *, of_a_commit: int) -> None:
        self._engine = engine.sync_engine
        self._of_a_commit = of_a_commit
        self._is_counting = False
        self._total = 0

    def count(self) -> int:
        """Return the total since the first call."""
        if not self._is_counting:
            self._is_counting = True
            event.listen(self._engine, "before_cursor_execute", self._on_statement)
            event.listen(self._engine, "commit", self._on_commit)
        return self._total

    def note(self) -> None:
        """Count a statement that SQLAlchemy does not execute."""
        if self._is_counting:
            self._total += 1

    def _on_statement(self, *_: object) -> None:
        self._total += 1

    def _on_commit(self, *_: object) -> None:
        self._total += self._of_a_commit
