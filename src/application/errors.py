"""What a use case or a port raises instead of returning a result.

The core does not know HTTP or exit statuses; each entry point maps each error once.
"""

from collections.abc import Sequence

from ordergate.domain.user import UserId


class ApplicationError(Exception):
    """Root of everything the application refuses on purpose."""


class InvalidCredentials(ApplicationError):
    """The user name and the password do not belong together; never says which is wrong."""


class InvalidGrant(ApplicationError):
    """The refresh token is unknown, expired, used before, or of a session that ended."""


class InvalidScope(ApplicationError):
    """A scope was asked for that does not exist, or that the session was not granted."""


class WrongPassword(ApplicationError):
    """A change that asks for the user's password did not get it."""


class InvalidToken(ApplicationError):
    """The token is malformed, forged, expired or meant for somebody else.

    The message says which, for a log; callers of the API receive `invalid_token` alone.
    """


class UnsupportedTokenType(ApplicationError):
    """Access tokens are accepted until they expire, so they cannot be revoked."""


class IssuerKeysUnavailable(ApplicationError):
    """The keys of the issuer cannot be fetched, and no key fetched before fits."""


class SigningKeyError(ApplicationError):
    """The signing keys cannot be read or changed.

    The message says why, and holds no key material.
    """


class Throttled(ApplicationError):
    """Too many attempts at a password failed, or are under way; this one was not looked at.

    `retry_after` is the number of whole seconds, at least 1, after which one will be.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many attempts; try again in {retry_after} s")
        self.retry_after = retry_after


class SessionNotFound(ApplicationError):
    """There is no such session among the user's, or it has ended."""


class AccountHasOpenOrders(ApplicationError):
    """The account has orders that are neither delivered nor cancelled."""


class OrderNotFound(ApplicationError):
    """There is no such order among the owner's: it does not exist, or it is somebody else's."""


class OrderChanged(ApplicationError):
    """The order's version is none of those that the caller expects; nothing was changed."""


class OrderIdTaken(ApplicationError):
    """The owner has another order of that id."""


class AmbiguousOrderId(ApplicationError):
    """Several users have an order of that id; `owners` are they."""

    def __init__(self, owners: Sequence[UserId]) -> None:
        super().__init__("several users have an order of that id")
        self.owners = owners


class IdempotencyKeyReused(ApplicationError):
    """The idempotency key stands for an order of other lines; nothing was placed."""


class UsernameTaken(ApplicationError):
    """An account of that name exists already."""


class RecordUnreadable(ApplicationError):
    """A record that is stored cannot be read; the message names it and says why, for a log."""

    def __init__(self, record: str, reason: str) -> None:
        super().__init__(f"the {record} cannot be read as it is stored: {reason}")


class RecordRefused(ApplicationError):
    """A storage cannot hold a record of another storage; the message names it and says why."""

    def __init__(self, record: str, reason: str) -> None:
        super().__init__(f"the {record} cannot be stored there: {reason}")


class TooManyRequests(ApplicationError):
    """The user has as many requests under way as one user may have; nothing was done."""


class Overloaded(ApplicationError):
    """A bounded queue is full; nothing was done.

    `retry_after` is the number of whole seconds, at least 1, after which a place is likely free.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too much work is waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class StorageUnavailable(ApplicationError):
    """The storage cannot be reached, is locked for too long, or is full."""


class OutcomeUnknown(StorageUnavailable):
    """The storage was lost while it made a change, which may have been made or not.

    Whoever asks for it again without looking may have it twice.
    """


class UnstorableValue(StorageUnavailable):
    """The storage cannot hold a value, so nothing was changed; trying again is of no use."""


class SchemaNotCurrent(ApplicationError):
    """The storage has no schema yet, or one of another version of this program.

    `needs_migration` says that `ordergate migrate` makes it current.
    """

    def __init__(self, message: str, *, needs_migration: bool = False) -> None:
        super().__init__(message)
        self.needs_migration = needs_migration


class StorageNotEmpty(ApplicationError):
    """The storage holds users or orders already, so nothing was loaded."""


class BackupRefused(ApplicationError):
    """A backup cannot be made or restored like this; the message says why and what to do."""


class CopyUnfinished(ApplicationError):
    """Another storage is being copied into this one: it holds a part, and is not to be used."""

    def __init__(self, what: str = "the database holds an unfinished copy") -> None:
        super().__init__(
            f"{what}; run `ordergate copy` again with the same --from and --to to finish it"
        )


class CopyDiffers(ApplicationError):
    """What was copied is not what is in the source, which somebody changed meanwhile.

    `kinds` are the names of the kinds of records that differ.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__(
            f"the copy differs from its source in {', '.join(kinds)} and is not to be used; stop"
            " all that writes to either, empty the target and copy again"
        )
        self.kinds = kinds
