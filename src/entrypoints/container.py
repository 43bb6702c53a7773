"""The composition root: which adapter stands behind each port. Nothing else imports adapters."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from dependency_injector import containers, providers

from adapters.clock import SystemClock
from adapters.passwords.bcrypt_password_hasher import BcryptPasswordHasher
from adapters.sql.sql_storage import SqlStorage
from adapters.sql.sqlite_database import SqliteDatabase
from adapters.tokens.external_token_verifier import ExternalTokenVerifier
from adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from adapters.tokens.remote_key_set import RemoteKeySet
from adapters.tokens.signing_key import InvalidSigningKey, SigningKey, write_new_key
from application.add_user import AddUser
from application.authenticate_user import AuthenticateUser
from application.get_own_order import GetOwnOrder
from application.seed_storage import SeedStorage
from entrypoints.settings import Settings, SettingsError


def _signing_key(settings: Settings) -> SigningKey:
    """Load the configured key; the first start makes one where none is."""
    try:
        if settings.signing_secret is not None:
            return SigningKey.from_secret(settings.signing_secret.get_secret_value())
        if settings.signing_key_file is not None:
            return SigningKey.from_file(settings.signing_key_file)
        return SigningKey.from_file_or_new(settings.default_key_file)
    except InvalidSigningKey as error:
        file = settings.signing_key_file or settings.default_key_file
        raise SettingsError([f"the signing key {file}: {error}"]) from None


def _verifier_of(settings: Settings) -> str:
    return "tokens" if settings.signs_in else "external_tokens"


def _key_flaw(file: Path) -> str | None:
    try:
        SigningKey.from_file(file)
    except InvalidSigningKey as error:
        return f"{error}; `ordergate keys new` makes one"
    return None


class Container(containers.DeclarativeContainer):
    """Everything a process is made of, each part once.

    `Container(settings=...)` is the real thing; a test passes other adapters by name, as in
    `Container(settings=..., storage=InMemoryStorage())`.
    """

    settings = providers.Dependency(instance_of=Settings)

    clock: providers.Provider[Any] = providers.ThreadSafeSingleton(SystemClock)
    signing_key: providers.Provider[Any] = providers.ThreadSafeSingleton(_signing_key, settings)
    tokens: providers.Provider[Any] = providers.ThreadSafeSingleton(
        JwtTokenIssuer,
        key=signing_key,
        clock=clock,
        issuer=settings.provided.issuer,
        audience=settings.provided.audience,
        lifetime=providers.Factory(timedelta, seconds=settings.provided.access_token_seconds),
        leeway=providers.Factory(timedelta, seconds=settings.provided.leeway_seconds),
    )
    hasher: providers.Provider[Any] = providers.ThreadSafeSingleton(
        BcryptPasswordHasher,
        cost=settings.provided.bcrypt_cost,
        threads=settings.provided.hashing_threads,
        queue=settings.provided.hashing_queue,
    )

    storage: providers.Provider[Any] = providers.ThreadSafeSingleton(
        SqlStorage, providers.Factory(SqliteDatabase, settings.provided.database_path)
    )
    users: providers.Provider[Any] = storage.provided.users
    orders: providers.Provider[Any] = storage.provided.orders
    loader: providers.Provider[Any] = storage.provided.loader

    remote_keys: providers.Provider[Any] = providers.ThreadSafeSingleton(
        RemoteKeySet, settings.provided.jwks_url
    )
    external_tokens: providers.Provider[Any] = providers.ThreadSafeSingleton(
        ExternalTokenVerifier,
        keys=remote_keys,
        users=users,
        clock=clock,
        issuer=settings.provided.issuer,
        audience=settings.provided.audience,
        leeway=providers.Factory(timedelta, seconds=settings.provided.leeway_seconds),
        jwt_type=settings.provided.jwt_type,
    )
    verifier: providers.Provider[Any] = providers.Selector(
        providers.Callable(_verifier_of, settings), tokens=tokens, external_tokens=external_tokens
    )

    key_flaw: providers.Provider[Any] = providers.Object(_key_flaw)
    write_new_key: providers.Provider[Any] = providers.Object(write_new_key)

    add_user = providers.ThreadSafeSingleton(AddUser, users, hasher)
    authenticate_user = providers.ThreadSafeSingleton(AuthenticateUser, users, hasher, tokens)
    get_own_order = providers.ThreadSafeSingleton(GetOwnOrder, orders)
    seed_storage = providers.ThreadSafeSingleton(SeedStorage, loader, hasher)
