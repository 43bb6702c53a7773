"""Signing keys, the issuer and the verifier of tokens, and the policy of revocation."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ordergate.adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from ordergate.adapters.tokens.keys.algorithms import PUBLIC_ALGORITHMS
from ordergate.adapters.tokens.keys.file_key_ring import FileKeyRing
from ordergate.adapters.tokens.keys.key_source import KeySource, StaticKeys
from ordergate.adapters.tokens.keys.signing_key import InvalidSigningKey, SigningKey
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
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.setting_values import HOW_TO_MAKE_A_KEY
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # it loads an HTTP client
    from ordergate.adapters.tokens.keys.remote_key_set import RemoteKeySet


def signing_key_error(file: str) -> str | None:
    """Describe an error in a file that must hold a private key, or return `None`."""
    try:
        SigningKey.from_file(Path(file))
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
        lifetime=_token_lifetime(settings),
        leeway=_leeway(settings),
    )


def make_remote_keys(settings: Settings) -> "RemoteKeySet":
    """Make the reader of another issuer's public keys."""
    from ordergate.adapters.tokens.keys.remote_key_set import RemoteKeySet

    return RemoteKeySet(
        settings.jwks_url or "", permitted=settings.jwt_algorithms or PUBLIC_ALGORITHMS
    )


def make_external_verifier(
    settings: Settings,
    keys: "RemoteKeySet",
    users: UserRepository,
    storage: Storage,
    clock: Clock,
) -> TokenVerifier:
    """Make the verifier of another issuer's access tokens."""
    from ordergate.adapters.tokens.external_token_verifier import ExternalTokenVerifier

    return ExternalTokenVerifier(
        keys=keys,
        users=users,
        clock=clock,
        issuer=settings.issuer,
        audience=settings.audience,
        leeway=_leeway(settings),
        jwt_type=settings.jwt_type,
        identity=storage.identity,
    )


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
                _token_lifetime(settings) + _leeway(settings),
                identity=storage.identity,
            )


def _token_lifetime(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.access_token_seconds)


def _leeway(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.leeway_seconds)
