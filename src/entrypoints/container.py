"""The composition root: which adapter stands behind each port. Nothing else imports adapters."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from dependency_injector import containers, providers

from adapters.clock import SystemClock
from adapters.passwords.bcrypt_password_hasher import BcryptPasswordHasher
from adapters.sql.sql_storage import SqlStorage
from adapters.sql.sqlite_database import SqliteDatabase
from adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from adapters.tokens.key_ring import KeyRing
from adapters.tokens.key_source import KeySource, StaticKeys
from adapters.tokens.signing_key import InvalidSigningKey, SigningKey
from application.add_user import AddUser
from application.authenticate_user import AuthenticateUser
from application.get_own_order import GetOwnOrder
from application.ports import Clock
from application.seed_storage import SeedStorage
from entrypoints.settings import Settings, SettingsError


def _signing_keys(settings: Settings, clock: Clock) -> KeySource:
    """Use the one key that is configured, or those in the folder of state."""
    try:
        if settings.signing_secret is not None:
            return StaticKeys(SigningKey.from_secret(settings.signing_secret.get_secret_value()))
        if settings.signing_key_file is not None:
            return StaticKeys(SigningKey.from_file(settings.signing_key_file))
    except InvalidSigningKey as error:
        raise SettingsError([f"the signing key {settings.signing_key_file}: {error}"]) from None
    life = timedelta(seconds=settings.access_token_seconds + settings.leeway_seconds)
    return KeyRing(settings.signing_keys_file, clock=clock, token_life=life)


def _key_flaw(file: Path) -> str | None:
    try:
        SigningKey.from_file(file)
    except InvalidSigningKey as error:
        return f"{error}; `openssl genpkey -algorithm ed25519 -out FILE` makes one"
    return None


class Container(containers.DeclarativeContainer):
    """Everything a process is made of, each part once.

    `Container(settings=...)` is the real thing; a test passes other adapters by name, as in
    `Container(settings=..., storage=InMemoryStorage())`.
    """

    settings = providers.Dependency(instance_of=Settings)

    clock: providers.Provider[Any] = providers.ThreadSafeSingleton(SystemClock)
    signing_keys: providers.Provider[Any] = providers.ThreadSafeSingleton(
        _signing_keys, settings, clock
    )
    tokens: providers.Provider[Any] = providers.ThreadSafeSingleton(
        JwtTokenIssuer,
        keys=signing_keys,
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

    key_flaw: providers.Provider[Any] = providers.Object(_key_flaw)

    add_user = providers.ThreadSafeSingleton(AddUser, users, hasher)
    authenticate_user = providers.ThreadSafeSingleton(AuthenticateUser, users, hasher, tokens)
    get_own_order = providers.ThreadSafeSingleton(GetOwnOrder, orders)
    seed_storage = providers.ThreadSafeSingleton(SeedStorage, loader, hasher)
