"""How issuers write their access tokens."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ordergate.application.errors import InvalidToken

ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""The `typ` of an access token (RFC 9068, section 2.1), in lower case."""

ANY_JWT_TYPES = ACCESS_TOKEN_TYPES | {"jwt", "application/jwt", ""}
"""Values of `typ` from issuers that do not follow RFC 9068; "" is a missing `typ`."""

ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash"})
"""Claims that only ID tokens have (OpenID Connect Core, sections 3.1.3.6 and 3.3.2.11)."""

_MISSING = object()


@dataclass(frozen=True, slots=True)
class IssuerProfile:
    """The form of an issuer's access tokens, by default RFC 9068's.

    `types` are the accepted values of `typ` in lower case. The audience is in the first of
    `audience_claims` that a token has. The rest distinguishes access tokens from ID tokens: of
    `present`, a token has at least one claim; it has none of `absent`; a claim in `values` has that
    value where a token has it. By default, a token has no claim of ID tokens.

    Scopes are in all of `scope_claims`. `scope_prefix` is removed, and scopes without it are
    ignored. `scope_map` renames the rest. A token without any scope claim has `default_scope`.
    """

    types: Collection[str] = ACCESS_TOKEN_TYPES
    audience_claims: tuple[str, ...] = ("aud",)
    present: Collection[str] = ()
    absent: Collection[str] = ID_TOKEN_CLAIMS
    values: Mapping[str, str] = field(default_factory=dict)
    scope_claims: tuple[str, ...] = ("scope", "scp")
    scope_prefix: str = ""
    scope_map: Mapping[str, Collection[str]] = field(default_factory=dict)
    default_scope: frozenset[str] = frozenset()

    def require_audience(self, claims: Mapping[str, object], audiences: Collection[str]) -> None:
        """Raise `InvalidToken` for a token that is for none of the audiences."""
        name = next((each for each in self.audience_claims if each in claims), None)
        if name is None:
            raise InvalidToken(f"{' or '.join(self.audience_claims)} is missing")
        value = claims[name]
        names = value if isinstance(value, list) else [value]
        if not any(isinstance(each, str) and each in audiences for each in names):
            raise InvalidToken(f"{name} is another audience")

    def require_access_token(self, claims: Mapping[str, object]) -> None:
        """Raise `InvalidToken` for an ID token."""
        if self.present and not any(name in claims for name in self.present):
            raise InvalidToken(f"no claim of access tokens ({', '.join(self.present)}) is present")
        for name in self.absent:
            if name in claims:
                raise InvalidToken(f"{name} is a claim of ID tokens")
        for name, value in self.values.items():
            if name in claims and claims[name] != value:
                raise InvalidToken(f"{name} is not {value}")

    def read_scope(self, claims: Mapping[str, object]) -> frozenset[str]:
        """Return the scopes of a token. Claims of another form have none."""
        values = [find_claim(claims, name) for name in self.scope_claims]
        if all(value is _MISSING for value in values):
            return self.default_scope
        found: set[str] = set()
        for word in (word for value in values for word in _split_words(value)):
            if word.startswith(self.scope_prefix):
                name = word[len(self.scope_prefix) :]
                found.update(self.scope_map.get(name, [name] if name else []))
        return frozenset(found)


def find_claim(claims: Mapping[str, object], name: str) -> object:
    """Return a claim by its name or its JSON Pointer (RFC 6901).

    A pointer begins with `/`.
    """
    if not name.startswith("/"):
        return claims.get(name, _MISSING)
    value: object = claims
    for part in name[1:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
    return value


def _split_words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.split()
    elif isinstance(value, list | Mapping):
        yield from (word for word in value if isinstance(word, str))


RFC_9068 = IssuerProfile()

PROFILES: Mapping[str, IssuerProfile] = MappingProxyType(
    {
        "oidc": RFC_9068,
        "keycloak": IssuerProfile(types=ANY_JWT_TYPES, values={"typ": "Bearer"}),
        "auth0": IssuerProfile(types=ANY_JWT_TYPES),
        # An application and its API may share an audience; ID tokens name no client, but roles.
        "entra": IssuerProfile(
            types=ANY_JWT_TYPES,
            present=("scp", "azp", "appid"),
            scope_claims=("scp", "roles"),
        ),
        "okta": IssuerProfile(types=ANY_JWT_TYPES, present=("cid",), scope_claims=("scp",)),
        # `aud` is there only for clients that name a resource (RFC 8707).
        "cognito": IssuerProfile(
            types=ANY_JWT_TYPES,
            audience_claims=("aud", "client_id"),
            present=("token_use",),
            values={"token_use": "access"},
            scope_claims=("scope",),
        ),
        # Its access tokens are no JWTs; services send each other ID tokens.
        "google": IssuerProfile(types=ANY_JWT_TYPES, absent=()),
        "zitadel": IssuerProfile(
            types=ANY_JWT_TYPES,
            absent=ID_TOKEN_CLAIMS | {"amr", "auth_time", "nonce"},
            scope_claims=("scope", "urn:zitadel:iam:org:project:roles"),
        ),
        # The audience of both kinds of tokens is the client; only ID tokens have `azp`.
        "spring": IssuerProfile(types=ANY_JWT_TYPES, absent=ID_TOKEN_CLAIMS | {"azp", "nonce"}),
        "kubernetes": IssuerProfile(types=ANY_JWT_TYPES),
    }
)
"""Access tokens as large issuers write them."""
