"""The problems of this API, and the problem of each application error."""

from collections.abc import Iterable, Sequence

from ordergate.application.errors import (
    AccountChanged,
    AccountHasOpenOrders,
    AmbiguousOrderId,
    ApplicationError,
    BackupRefused,
    CopyDiffers,
    CopyUnfinished,
    IdempotencyKeyReused,
    InvalidCredentials,
    InvalidGrant,
    InvalidScope,
    InvalidToken,
    IssuerKeysUnavailable,
    MissingCapability,
    OrderChanged,
    OrderIdTaken,
    OrderNotFound,
    OutcomeUnknown,
    Overloaded,
    RecordRefused,
    RecordUnreadable,
    SchemaNotCurrent,
    SessionNotFound,
    SigningKeyError,
    StorageMissing,
    StorageNotEmpty,
    StorageUnavailable,
    Throttled,
    TooManyRequests,
    UnstorableValue,
    UnsupportedTokenType,
    UsernameTaken,
    WrongPassword,
)
from ordergate.domain.scope import BUILT_IN_SCOPES
from ordergate.entrypoints.http.problems.problem import (
    INTERNAL_DETAIL,
    Problem,
    invalid_header,
    oauth_problem,
    problem_for_status,
)

MAX_FLAWS = 8
"""The maximum of wrong parameters in an answer."""

MAX_HEAD_BYTES = 65_536
"""The maximum size of request line and headers, rounded up to a read of the socket."""

MAX_HEAD_FIELDS = 100
"""The maximum number of header fields."""

MALFORMED = Problem(
    400,
    "This is not a well-formed HTTP/1.1 request, or its method is unknown.",
    "malformed-request",
)

HEAD_TOO_LARGE = Problem(
    431, f"The request line and headers exceed {MAX_HEAD_BYTES} bytes.", "headers-too-large"
)

TOO_MANY_FIELDS = Problem(
    431, f"The request has more than {MAX_HEAD_FIELDS} header fields.", "headers-too-large"
)

TOO_LARGE = problem_for_status(413)

BODY_TOO_SLOW = Problem(408, "The request body took too long to arrive.", "body-too-slow")

INTERNAL = Problem(500, INTERNAL_DETAIL)

SHUTTING_DOWN = Problem(
    503,
    "The service is restarting; try again soon.",
    "shutting-down",
    headers={"Retry-After": "1"},
)

NO_DESCRIPTORS = Problem(
    503,
    "The service has too many files and connections open; try again soon.",
    "overloaded",
    headers={"Retry-After": "1"},
)

UPGRADING = Problem(503, "The service is being upgraded; try again soon.", "upgrading")

CHALLENGE = 'Bearer realm="ordergate"'
"""The value of `WWW-Authenticate` without a reason (RFC 6750, section 3)."""

MISSING_TOKEN = Problem(
    401,
    "Send an access token as Authorization: Bearer; /docs says where tokens come from.",
    "token-required",
    headers={"WWW-Authenticate": CHALLENGE},
)

REPEATED_AUTHORIZATION = oauth_problem(
    400,
    "invalid_request",
    "The header Authorization is repeated; send it once.",
    headers={"WWW-Authenticate": f'{CHALLENGE}, error="invalid_request"'},
)


def make_insufficient_scope(scopes: Sequence[str]) -> Problem:
    """Make the problem of a missing scope (RFC 6750, 3.1)."""
    needed = " ".join(scopes)
    return Problem(
        403,
        f"The access token lacks the scope {needed}; sign in for that scope.",
        "insufficient-scope",
        {"error": "insufficient_scope", "scope": needed},
        {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"'},
    )


def invalid_scope(available: Iterable[str]) -> Problem:
    """Make the problem of a scope that is not available."""
    return oauth_problem(
        400,
        "invalid_scope",
        f"A scope is unknown or was not granted; available: {' '.join(sorted(available))}.",
    )


PROBLEMS: dict[type[ApplicationError], Problem] = {
    InvalidCredentials: oauth_problem(400, "invalid_grant", "Incorrect username or password."),
    InvalidToken: Problem(
        401,
        "The access token is expired or not valid here; sign in again.",
        "invalid-token",
        {"error": "invalid_token"},
        {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'},
    ),
    IssuerKeysUnavailable: Problem(
        503,
        "The issuer of tokens does not answer; try again soon.",
        "issuer-unavailable",
        headers={"Retry-After": "1"},
    ),
    SigningKeyError: Problem(409, "The signing keys cannot be changed in this way.", "key-refused"),
    Throttled: oauth_problem(
        429,
        "invalid_grant",
        "Too many attempts; try again later.",
        name="too-many-attempts",
        headers={"Retry-After": "1"},
    ),
    InvalidGrant: oauth_problem(
        400,
        "invalid_grant",
        "This refresh token is expired, used, revoked or not yours; sign in again.",
    ),
    InvalidScope: invalid_scope(BUILT_IN_SCOPES),
    UnsupportedTokenType: oauth_problem(
        400,
        "unsupported_token_type",
        "Access tokens cannot be revoked here; revoke the refresh token.",
    ),
    WrongPassword: Problem(403, "The current password is incorrect.", "wrong-password"),
    SessionNotFound: Problem(404, "You have no session with this id.", "session-not-found"),
    AccountHasOpenOrders: Problem(
        409,
        "You have open orders; close the account when they are delivered or cancelled.",
        "orders-open",
    ),
    OrderNotFound: Problem(404, "You have no order with this id.", "order-not-found"),
    OrderChanged: Problem(
        412, "The order has changed; read it again, then decide.", "order-changed"
    ),
    OrderIdTaken: Problem(
        503,
        "No free id was found for the order; try again.",
        "order-id-taken",
        headers={"Retry-After": "1"},
    ),
    AccountChanged: Problem(409, "The account was changed at the same time.", "account-changed"),
    AmbiguousOrderId: Problem(409, "Several users have an order with this id.", "owner-not-named"),
    IdempotencyKeyReused: Problem(
        422,
        "This Idempotency-Key belongs to another order; use a new key for each order.",
        "idempotency-key-reused",
    ),
    UsernameTaken: Problem(409, "This user name is taken.", "username-taken"),
    RecordUnreadable: Problem(
        500,
        "The stored record cannot be read; the request id helps us find it.",
        "record-unreadable",
    ),
    RecordRefused: Problem(409, "The storage cannot hold a record.", "record-refused"),
    TooManyRequests: Problem(
        429,
        "You have too many requests in progress; wait for their answers.",
        "too-many-requests",
        headers={"Retry-After": "1"},
    ),
    Overloaded: oauth_problem(
        503,
        "temporarily_unavailable",
        "Too many sign-ins are waiting; try again soon.",
        headers={"Retry-After": "1"},
    ),
    StorageUnavailable: Problem(
        503,
        "The storage does not answer; try again soon.",
        "storage-unavailable",
        headers={"Retry-After": "1"},
    ),
    OutcomeUnknown: Problem(
        503,
        "The connection to the storage was lost during the change, which may be stored; check"
        " before you try again.",
        "outcome-unknown",
        headers={"Retry-After": "1"},
    ),
    UnstorableValue: Problem(
        422,
        "The storage cannot hold a value of this request; change the value.",
        "unstorable-value",
    ),
    SchemaNotCurrent: UPGRADING,
    StorageMissing: UPGRADING,
    StorageNotEmpty: Problem(409, "The storage already has users or orders.", "storage-not-empty"),
    MissingCapability: Problem(
        501, "The storage of this service cannot do that.", "missing-capability"
    ),
    BackupRefused: Problem(409, "The backup is not made, or not restored.", "backup-refused"),
    CopyUnfinished: Problem(
        503, "The service is being moved; try again later.", "moving", headers={"Retry-After": "60"}
    ),
    CopyDiffers: Problem(409, "The copy differs from its source.", "copy-differs"),
}
"""The problem of each application error."""

INVALID_HOST = invalid_header("Host", "must be sent once, as a host and perhaps a port")
