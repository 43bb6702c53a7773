"""Verification of other issuers' access tokens with their published keys."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ordergate.adapters.tokens.claims import Claims
from ordergate.adapters.tokens.explanation import Explanation, quote
from ordergate.adapters.tokens.issuer_profiles import RFC_9068, IssuerProfile
from ordergate.adapters.tokens.jwt_token_verifier import JwtTokenVerifier
from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet
from ordergate.adapters.tokens.unverified import name_token, read_key_id, read_unverified_issuer
from ordergate.application.errors import InvalidToken, IssuerKeysUnavailable
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.tokens import Caller, TokenCheck, TokenExplainer, TokenVerifier
from ordergate.application.ports.users import UserRepository
from ordergate.domain.user import UserId

MAX_KNOWN_SUBJECTS = 10_000
"""The maximum of cached accounts. The cache saves a query for each request."""

_CLIENT_CLAIMS = ("client_id", "azp", "appid", "cid")
"""The claims that name the client, in their order: RFC 9068, OpenID Connect, Entra, Okta."""

_NO_CLIENT = "external"

_Subject = tuple[str, str, frozenset[str], Mapping[str, object], str | None]


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer: its exact `iss`, its keys, its form of tokens."""

    name: str
    keys: RemoteKeySet
    profile: IssuerProfile = RFC_9068


class ExternalTokenVerifier(TokenVerifier, TokenExplainer):
    """Accepts access tokens of other issuers.

    `iss` must equal the name of one of `issuers`, character for character, and the audience must
    be one of `audiences`. The caller is the account of `sub` with this issuer, which is created for
    the first token. Accounts are cached as long as `identity`, that of the storage, is the same.
    """

    def __init__(
        self,
        *,
        issuers: Iterable[TrustedIssuer],
        users: UserRepository,
        clock: Clock,
        audiences: Collection[str],
        leeway: timedelta,
        identity: Callable[[], Hashable],
    ) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._only = next(iter(self._issuers)) if len(self._issuers) == 1 else None
        self._users = users
        self._clock = clock
        self._identity = identity
        self._known: dict[tuple[str, str], UserId] = {}
        self._known_in = identity()
        self._verifiers = {
            issuer.name: JwtTokenVerifier(
                _choose_subject_reader(issuer.profile),
                clock=clock,
                issuer=issuer.name,
                audiences=audiences,
                leeway=leeway,
                profile=issuer.profile,
            )
            for issuer in self._issuers.values()
        }

    async def verify(self, token: str) -> Caller:
        """Check signature, type and claims; `InvalidToken` names the first mistake.

        Raises `StorageUnavailable` when an account cannot be looked up. A session of the issuer is
        not a session of this service.
        """
        try:
            issuer = self._only or self._choose_issuer(token)
            keys, verifier = self._issuers[issuer].keys, self._verifiers[issuer]
            fresh = keys.fresh()  # else a cached token must wait for a fetch, as others do
            known = verifier.recall(token, fresh) if fresh else None
            subject, client_id, scope, claims, kid = known or verifier.verify(
                token, await keys.keys(read_key_id(token))
            )
        except InvalidToken as error:
            raise name_token(error, token) from None
        # Last: an invalid token creates no account.
        user = await self._find_account(issuer, subject)
        return Caller(user, client_id, scope, claims=claims, key_id=kid)

    async def explain(self, token: str) -> Sequence[TokenCheck]:
        """Run every check, with freshly fetched keys."""
        explanation = Explanation()
        parts = explanation.read(token)
        if parts is None:
            return explanation.checks
        header, payload = parts
        try:
            issuer = self._only or self._choose_issuer(token)
        except InvalidToken as error:
            explanation.add("iss", quote(read_unverified_issuer(token)), str(error))
            return explanation.checks
        try:
            keys = await self._issuers[issuer].keys.keys(read_key_id(token))
            explanation.check_signature(token, header, keys)
        except IssuerKeysUnavailable as error:
            explanation.add("keys", "none", str(error))
        profile, now = self._issuers[issuer].profile, self._clock.now().timestamp()
        explanation.check_claims(
            header,
            payload,
            self._verifiers[issuer],
            lambda claims: profile.read_scope(claims.members),
            now,
        )
        return explanation.checks

    def _choose_issuer(self, token: str) -> str:
        """Return the issuer that a token names.

        That issuer's verifier checks whether the name is true.
        """
        issuer = read_unverified_issuer(token)
        if issuer not in self._issuers:
            raise InvalidToken("iss is another issuer")
        return issuer

    async def _find_account(self, issuer: str, subject: str) -> UserId:
        if (identity := self._identity()) != self._known_in:
            self._known, self._known_in = {}, identity
        known, name = self._known, (issuer, subject)
        if name not in known:
            user = await self._users.get_or_create_by_subject(issuer, subject)
            if len(known) >= MAX_KNOWN_SUBJECTS:
                del known[next(iter(known))]
            known[name] = user
        return known[name]


def _choose_subject_reader(profile: IssuerProfile) -> Callable[[Claims], _Subject]:
    def read(claims: Claims) -> _Subject:
        scope = profile.read_scope(claims.members)
        return claims.subject(), _read_client_id(claims), scope, claims.read_only(), claims.key_id

    return read


def _read_client_id(claims: Claims) -> str:
    for name in _CLIENT_CLAIMS:
        if name in claims.members:
            return claims.text(name)
    return _NO_CLIENT
