"""The errors of a SQL server and its driver."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_LOST = "the connection was lost"
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (PoolTimeoutError, "every connection of the pool was in use for too long"),
    (TimeoutError, "no answer in time"),
    (ConnectionRefusedError, "the connection was refused"),
    (OSError, "no host could be reached, or a file that the URL names cannot be read"),
    (ValueError, "a value that it cannot store"),
)


class AmbiguousCommitError(Exception):
    """A COMMIT has an unknown outcome, or can still be lost."""


class SilentConnectionError(Exception):
    """A pooled connection timed out.

    The change is `ambiguous` when it may have been committed.
    """

    def __init__(self, *, ambiguous: bool = False) -> None:
        super().__init__()
        self.ambiguous = ambiguous


@dataclass(frozen=True, slots=True)
class DriverErrors:
    """The classification of an engine's errors; each function takes the driver's error.

    `failures` are the errors of an attempt that are not the job's own. `describe` quotes no value,
    no statement and no password. `is_lost`: the connection is unusable. `is_transient`: a new
    attempt may succeed soon. `is_commit_ambiguous`: a failed COMMIT may have succeeded.
    `is_unstorable`: a value was refused.
    """

    server: str
    failures: tuple[type[Exception], ...]
    describe: Callable[[Exception], str]
    is_lost: Callable[[Exception], bool]
    is_transient: Callable[[Exception], bool]
    is_commit_ambiguous: Callable[[Exception], bool]
    is_unstorable: Callable[[Exception], bool]


def unwrap_cause(error: Exception) -> Exception:
    """Return the driver's error."""
    if isinstance(error, DBAPIError | EmulatedDBAPIException):
        return error.driver_exception
    return error


def describe_without_code(cause: Exception, *more: tuple[type[Exception], str]) -> str:
    """Describe an error of the network or of the driver."""
    words = next((words for kind, words in (*more, *_WORDS) if isinstance(cause, kind)), _LOST)
    reason = cause.strerror if isinstance(cause, OSError) else None
    # What asyncio writes there is an address as Python does, and says no more.
    return f"{words}: {reason}" if reason and not reason.startswith("Connect call") else words
