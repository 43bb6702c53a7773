"""Errors of use cases and ports.

The core does not know HTTP or exit statuses. Each entry point maps each error once.
"""

from collections.abc import Iterable, Sequence

from ordergate.domain.user import UserId


class ApplicationError(Exception):
    """An intended refusal of the application."""


class InvalidCredentials(ApplicationError):
    """The user name or the password is incorrect; the error hides which."""


class InvalidGrant(ApplicationError):
    """The refresh token is unknown, expired, used, or of an ended session."""


class InvalidScope(ApplicationError):
    """A requested scope is not one of the `available`."""

    def __init__(self, available: Iterable[str]) -> None:
        super().__init__()
        self.available = tuple(sorted(available))


class WrongPassword(ApplicationError):
    """The password that confirms a change is incorrect."""


class InvalidToken(ApplicationError):
    """The token is malformed, forged, expired or for another service.

    The message has the reason, for a log. `kid` and `issuer` are what the token says of itself,
    unverified; `None` if unknown. Clients of the API get `invalid_token` only.
    """

    def __init__(self, reason: str, *, kid: str | None = None, issuer: str | None = None) -> None:
        super().__init__(reason)
        self.kid = kid
        self.issuer = issuer


class UnsupportedTokenType(ApplicationError):
    """Access tokens cannot be revoked, because they are accepted until they expire."""


class IssuerKeysUnavailable(ApplicationError):
    """The issuer's keys cannot be fetched, and no known key fits."""


class SigningKeyError(ApplicationError):
    """The signing keys cannot be read or changed.

    The message says why, and has no key material.
    """


class Throttled(ApplicationError):
    """Too many password attempts have failed or are in progress.

    This attempt was not verified. The next one is allowed after `retry_after` whole seconds, at
    least 1.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many attempts; try again in {retry_after} s")
        self.retry_after = retry_after


class SessionNotFound(ApplicationError):
    """The user has no such session, or it has ended."""


class AccountHasOpenOrders(ApplicationError):
    """The account has orders that are neither delivered nor cancelled."""


class OrderNotFound(ApplicationError):
    """The owner has no such order. Another user may have one."""


class OrderChanged(ApplicationError):
    """The order has another version than expected; nothing was changed."""


class OrderIdTaken(ApplicationError):
    """The owner has another order with this id."""


class AmbiguousOrderId(ApplicationError):
    """Several users, `owners`, have an order with this id."""

    def __init__(self, owners: Sequence[UserId]) -> None:
        super().__init__("several users have an order with this id")
        self.owners = owners


class IdempotencyKeyReused(ApplicationError):
    """The idempotency key belongs to another order; nothing was placed."""


class AccountChanged(ApplicationError):
    """The account was changed or closed concurrently; nothing was done."""

    def __init__(self) -> None:
        super().__init__("the account was changed at the same time; try again")


class UsernameTaken(ApplicationError):
    """Another account has this name."""


class RecordUnreadable(ApplicationError):
    """A stored record cannot be read.

    The message names the record and the reason, for a log.
    """

    def __init__(self, record: str, reason: str) -> None:
        super().__init__(f"the {record} cannot be read as it is stored: {reason}")


class RecordRefused(ApplicationError):
    """A storage cannot hold a record of another storage.

    The message names the record and the reason.
    """

    def __init__(self, record: str, reason: str) -> None:
        super().__init__(f"the {record} cannot be stored there: {reason}")


class TooManyRequests(ApplicationError):
    """The user has the maximum of requests in progress; nothing was done."""


class Overloaded(ApplicationError):
    """A bounded queue is full; nothing was done.

    A place is likely to be free after `retry_after` whole seconds, at least 1.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too much work is waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class StorageUnavailable(ApplicationError):
    """The storage is unreachable, locked for too long, or full."""


class OutcomeUnknown(StorageUnavailable):
    """The storage was lost during a change, which may be stored.

    A client that repeats the request without a check may change twice.
    """


class UnstorableValue(StorageUnavailable):
    """The storage cannot hold a value; a retry fails again."""


class SchemaNotCurrent(ApplicationError):
    """The storage has no schema, or that of another version.

    `needs_migration` says that `ordergate migrate` makes it current.
    """

    def __init__(self, message: str, *, needs_migration: bool = False) -> None:
        super().__init__(message)
        self.needs_migration = needs_migration


class StorageMissing(SchemaNotCurrent):
    """There is no database at this place yet; a migration makes one."""

    def __init__(self, place: object) -> None:
        super().__init__(
            f"there is no database at {place}; `ordergate migrate` makes one there",
            needs_migration=True,
        )
        self.place = place


class StorageNotEmpty(ApplicationError):
    """The storage already has users or orders; nothing was loaded."""


class MissingCapability(ApplicationError):
    """The storage lacks what a command needs.

    The message says what to do instead.
    """


class BackupRefused(ApplicationError):
    """A backup cannot be made or restored.

    The message says why and what to do.
    """


class CopyUnfinished(ApplicationError):
    """The storage holds an incomplete copy of another and cannot be used."""

    def __init__(self, what: str = "the database holds an unfinished copy") -> None:
        super().__init__(
            f"{what}; run `ordergate copy` again with the same --from and --to to finish it"
        )


class CopyDiffers(ApplicationError):
    """A copy differs from its source, because a program changed either.

    `kinds` names the kinds of records that differ.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__(
            f"the copy differs from its source in {', '.join(kinds)} and cannot be used; stop all"
            " programs that write to either, empty the target and copy again"
        )
        self.kinds = kinds
