"""Make signing keys, token issuer, token verifier and revocation policy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ordergate.adapters.tokens.issuer_profiles import (
    ACCESS_TOKEN_TYPES,
    ANY_JWT_TYPES,
    PROFILES,
    IssuerProfile,
)
from ordergate.adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from ordergate.adapters.tokens.keys.algorithms import PUBLIC_ALGORITHMS
from ordergate.adapters.tokens.keys.file_key_ring import FileKeyRing
from ordergate.adapters.tokens.keys.key_source import KeySource, StaticKeys
from ordergate.adapters.tokens.keys.signing_key import (
    InvalidSigningKey,
    SigningKey,
    UnreadableSigningKey,
)
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import SessionRepository
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.tokens import TokenVerifier
from ordergate.application.ports.users import UserRepository
from ordergate.application.sessions.revocation import (
    BoundedRevocation,
    ImmediateRevocation,
    NoRevocation,
    RevocationPolicy,
)
from ordergate.entrypoints.config.issuers.values import PROVIDERS_WITHOUT_SCOPES
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.setting_values import HOW_TO_MAKE_A_KEY
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # it loads an HTTP client
    from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet


def find_signing_key_error(file: str) -> str | None:
    """Describe an error in a private key's file, or return `None`."""
    try:
        SigningKey.from_file(Path(file))
    except UnreadableSigningKey as error:
        return f"{file} {error}"
    except InvalidSigningKey as error:
        return f"{error}; {HOW_TO_MAKE_A_KEY}"
    return None


def make_signing_keys(settings: Settings, clock: Clock) -> StaticKeys | FileKeyRing:
    """Return the configured key, or the keys in the folder. Raises `SettingsError`."""
    try:
        if settings.signing_secret is not None:
            key = SigningKey.from_secret(settings.signing_secret.get_secret_value())
            return StaticKeys(key, holder="ORDERGATE_SIGNING_SECRET")
        if settings.signing_key_file is not None:
            key = SigningKey.from_file(settings.signing_key_file)
            return StaticKeys(key, holder="ORDERGATE_SIGNING_KEY_FILE")
    except InvalidSigningKey as error:
        raise SettingsError([f"the signing key {settings.signing_key_file}: {error}"]) from None
    return FileKeyRing(settings.signing_keys_file, clock=clock)


def make_token_issuer(settings: Settings, keys: KeySource, clock: Clock) -> JwtTokenIssuer:
    """Make the adapter that signs access tokens, and verifies its own."""
    return JwtTokenIssuer(
        keys=keys,
        clock=clock,
        issuer=settings.issuer,
        audience=settings.audience,
        lifetime=_get_token_lifetime(settings),
        leeway=_get_leeway(settings),
    )


def make_remote_keys(settings: Settings) -> "dict[str, RemoteKeySet]":
    """Make the readers of other issuers' public keys, by the issuers' names."""
    from ordergate.adapters.tokens.remote.fetching import DocumentFetcher
    from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet

    proxy = settings.outgoing_proxy
    fetcher = DocumentFetcher(
        plain_http_hosts=settings.plain_http_hosts,
        proxy=proxy.get_secret_value() if proxy else None,
    )
    return {
        issuer: RemoteKeySet(
            url,
            issuer=issuer,
            fetcher=fetcher,
            permitted=settings.jwt_algorithms or PUBLIC_ALGORITHMS,
        )
        for issuer, url in zip(
            settings.issuers, _repeat_for_issuers(settings.jwks_url, settings), strict=True
        )
    }


def make_external_verifier(
    settings: Settings,
    keys: "dict[str, RemoteKeySet]",
    users: UserRepository,
    storage: Storage,
    clock: Clock,
) -> TokenVerifier:
    """Make the verifier of other issuers' access tokens."""
    from ordergate.adapters.tokens.external_token_verifier import (
        ExternalTokenVerifier,
        TrustedIssuer,
    )

    providers = _repeat_for_issuers(settings.identity_provider, settings)
    return ExternalTokenVerifier(
        issuers=[
            TrustedIssuer(issuer, keys[issuer], make_profile(settings, provider))
            for issuer, provider in zip(settings.issuers, providers, strict=True)
        ],
        users=users,
        clock=clock,
        audiences=settings.audiences,
        leeway=_get_leeway(settings),
        identity=storage.identity,
    )


def make_profile(settings: Settings, provider: str | None) -> IssuerProfile:
    """Return the form of an issuer's tokens.

    Settings precede what is known of the provider. With several issuers, the default scope is only
    for those that write no scopes. Else a token of another issuer would get it where its scopes are
    missing by design.
    """
    known = PROFILES[provider or "oidc"]
    types = {"at+jwt": ACCESS_TOKEN_TYPES, "jwt": ANY_JWT_TYPES, None: known.types}
    has_default = len(settings.issuers) == 1 or provider in PROVIDERS_WITHOUT_SCOPES
    return replace(
        known,
        types=types[settings.jwt_type],
        scope_claims=settings.scope_claim or known.scope_claims,
        scope_prefix=settings.scope_prefix or "",
        scope_map=settings.scope_map,
        default_scope=frozenset(settings.default_scope) if has_default else frozenset(),
    )


def _repeat_for_issuers(values: tuple[str, ...], settings: Settings) -> Sequence[str | None]:
    """Return each issuer's value: its own, the only one, or none."""
    if len(values) == len(settings.issuers):
        return values
    return (values or (None,)) * len(settings.issuers)


def choose_verifier(
    settings: Settings,
    own: Callable[[], TokenVerifier],
    external: Callable[[], TokenVerifier],
) -> TokenVerifier:
    """Return the verifier of the issuer whose tokens this service accepts."""
    return own() if settings.issues_tokens else external()


def make_revocation(
    settings: Settings, sessions: SessionRepository, storage: Storage, clock: Clock
) -> RevocationPolicy:
    """Make the policy that `ORDERGATE_REVOCATION` names."""
    if not settings.issues_tokens:
        return NoRevocation()
    match settings.revocation:
        case "until-expiry":
            return NoRevocation()
        case "at-once":
            return ImmediateRevocation(sessions, clock)
        case seconds:
            return BoundedRevocation(
                sessions,
                clock,
                timedelta(seconds=seconds),
                _get_token_lifetime(settings) + _get_leeway(settings),
                identity=storage.identity,
            )


def _get_token_lifetime(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.access_token_seconds)


def _get_leeway(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.leeway_seconds)
