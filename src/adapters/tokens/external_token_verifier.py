"""Verification of another issuer's access tokens with its published keys."""

from collections.abc import Callable, Hashable, Mapping
from datetime import timedelta

from ordergate.adapters.tokens.jws import key_id
from ordergate.adapters.tokens.jwt_token_verifier import (
    ACCESS_TOKEN_TYPES,
    Claims,
    JwtTokenVerifier,
)
from ordergate.adapters.tokens.keys.remote_key_set import RemoteKeySet
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.tokens import Caller, TokenVerifier
from ordergate.application.ports.users import UserRepository
from ordergate.domain.user import UserId

MAX_KNOWN_SUBJECTS = 10_000
"""The maximum of cached accounts. The cache saves a query for each request."""

ANY_JWT_TYPES = ACCESS_TOKEN_TYPES | {"jwt", "application/jwt", ""}
"""Values of `typ` from issuers that do not follow RFC 9068; "" is a missing `typ`."""

_NO_CLIENT = "external"


class ExternalTokenVerifier(TokenVerifier):
    """Accepts access tokens of another issuer.

    `iss` must equal `issuer`, character for character, and `aud` must contain `audience`.
    `jwt_type` is the required `typ`: `at+jwt` (RFC 9068), or `jwt`, which also accepts `JWT` and a
    missing `typ`; then only `aud` distinguishes access tokens from ID tokens. The caller is the
    account of `sub`, which is created for the first token. The client is `client_id`, or `azp`.
    Accounts are cached as long as `identity`, that of the storage, is the same.
    """

    def __init__(
        self,
        *,
        keys: RemoteKeySet,
        users: UserRepository,
        clock: Clock,
        issuer: str,
        audience: str,
        leeway: timedelta,
        jwt_type: str,
        identity: Callable[[], Hashable],
    ) -> None:
        self._keys = keys
        self._users = users
        self._issuer = issuer
        self._identity = identity
        self._known: dict[str, UserId] = {}
        self._known_in = identity()
        self._verifier = JwtTokenVerifier(
            _subject,
            clock=clock,
            issuer=issuer,
            audience=audience,
            leeway=leeway,
            types=ANY_JWT_TYPES if jwt_type == "jwt" else ACCESS_TOKEN_TYPES,
        )

    async def verify(self, token: str) -> Caller:
        """Check signature, type and claims; `InvalidToken` names the first mistake.

        Raises `StorageUnavailable` when an account cannot be looked up. A session of the issuer is
        not a session of this service.
        """
        keys = await self._keys.keys(key_id(token))
        subject, client_id, scope, read_only = self._verifier.verify(token, keys)
        # Last: an invalid token creates no account.
        return Caller(await self._account(subject), client_id, scope, claims=read_only)

    async def _account(self, subject: str) -> UserId:
        if (identity := self._identity()) != self._known_in:
            self._known, self._known_in = {}, identity
        known = self._known
        if subject not in known:
            user = await self._users.get_or_create_by_subject(self._issuer, subject)
            if len(known) >= MAX_KNOWN_SUBJECTS:
                del known[next(iter(known))]
            known[subject] = user
        return known[subject]


def _subject(claims: Claims) -> tuple[str, str, frozenset[str], Mapping[str, object]]:
    return claims.subject(), _client_id(claims), claims.scope(), claims.read_only()


def _client_id(claims: Claims) -> str:
    for name in ("client_id", "azp"):
        if name in claims.members:
            return claims.text(name)
    return _NO_CLIENT
