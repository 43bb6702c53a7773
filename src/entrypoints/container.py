"""The composition root: which adapter stands behind each port. Nothing else imports adapters."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dependency_injector import containers, providers

from ordergate.adapters.audit.log_audit import LogAudit
from ordergate.adapters.passwords.bcrypt_password_hasher import BcryptPasswordHasher
from ordergate.adapters.passwords.common_passwords import CommonPasswords
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.backup import SqliteFile
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.adapters.sql.sqlite.file import file_errors
from ordergate.adapters.system.files import make_folder
from ordergate.adapters.system.system_clock import SystemClock
from ordergate.adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from ordergate.adapters.tokens.keys.file_key_ring import LOOK_SECONDS, FileKeyRing
from ordergate.adapters.tokens.keys.key_source import StaticKeys
from ordergate.adapters.tokens.keys.signing_key import InvalidSigningKey, SigningKey
from ordergate.application.accounts.change_password import ChangePassword
from ordergate.application.accounts.close_account import CloseAccount
from ordergate.application.accounts.get_account import GetAccount
from ordergate.application.accounts.reauthenticate import Reauthenticate
from ordergate.application.accounts.register_user import RegisterUser
from ordergate.application.caller_limit import writes
from ordergate.application.keys.import_signing_key import ImportSigningKey
from ordergate.application.keys.key_changes import KeyChanges
from ordergate.application.keys.list_signing_keys import ListSigningKeys
from ordergate.application.keys.promote_signing_key import PromoteSigningKey
from ordergate.application.keys.publish_signing_key import PublishSigningKey
from ordergate.application.keys.retire_signing_key import RetireSigningKey
from ordergate.application.keys.rotate_signing_keys import RotateSigningKeys
from ordergate.application.maintenance.purge_storage import PurgeStorage
from ordergate.application.maintenance.seed_storage import SeedStorage
from ordergate.application.orders.advance_order import AdvanceOrder
from ordergate.application.orders.cancel_order import CancelOrder
from ordergate.application.orders.get_own_order import GetOwnOrder
from ordergate.application.orders.list_own_orders import ListOwnOrders
from ordergate.application.orders.place_order import PlaceOrder
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.passwords import Throttle
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.storage_file import StorageFile
from ordergate.application.ports.tokens import TokenVerifier
from ordergate.application.sessions.authenticate_user import AuthenticateUser
from ordergate.application.sessions.end_all_sessions import EndAllSessions
from ordergate.application.sessions.end_session import EndSession
from ordergate.application.sessions.identify_caller import IdentifyCaller
from ordergate.application.sessions.list_sessions import ListSessions
from ordergate.application.sessions.refresh_session import RefreshSession
from ordergate.application.sessions.revocation import (
    BoundedRevocation,
    ImmediateRevocation,
    NoRevocation,
    RevocationPolicy,
)
from ordergate.application.sessions.revoke_token import RevokeToken
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.session import SessionRules
from ordergate.domain.signing_keys import KeySchedule
from ordergate.entrypoints.config.plain_text import path_flaw, text_flaw
from ordergate.entrypoints.config.settings import Settings, SettingsError


class _Engine(NamedTuple):
    """What says what is wrong with a URL, or `None`; and what makes a storage of one.

    `file` makes what copies the storage's file, where there is one and no tool of the engine's own.
    `name` names a database in messages, without secrets. `reason_to_wait` says why a server accepts
    no connection yet, or returns `None`; it is for engines whose server may start later.
    """

    url_error: Callable[[str], str | None]
    storage: Callable[[str, Settings], Storage]
    file: Callable[[str], StorageFile] | None = None
    name: Callable[[str], str] = lambda url: url.partition(":")[0]
    reason_to_wait: Callable[[str], Awaitable[str | None]] | None = None


class DatabaseInUse(NamedTuple):
    """What messages call the database, and what asks its server, if it has one.

    `reason_to_wait` returns why the server accepts no connection yet, or `None`.
    """

    name: str
    reason_to_wait: Callable[[], Awaitable[str | None]] | None


def _postgres_flaw(url: str) -> str | None:
    from ordergate.adapters.sql.postgres.url import url_error

    return url_error(url)


def _postgres_name(url: str) -> str:
    from ordergate.adapters.sql.postgres.url import address_in

    return address_in(url)


async def _postgres_reason_to_wait(url: str) -> str | None:
    from ordergate.adapters.sql.postgres.readiness import reason_to_wait

    return await reason_to_wait(url)


def _postgres(url: str, settings: Settings) -> Storage:
    from ordergate.adapters.sql.postgres.database import (
        PostgresDatabase,
    )

    database = PostgresDatabase(
        url,
        pool_size=settings.database_pool_size,
        pool_seconds=settings.database_pool_seconds,
        statement_seconds=settings.database_statement_seconds,
        idle_seconds=settings.database_idle_seconds,
    )
    return SqlStorage(database)


_SQLITE = "sqlite:///"


def _sqlite_flaw(url: str) -> str | None:
    flaw = SqliteDatabase.url_error(url)
    if flaw is None and (in_path := path_flaw(url.removeprefix(_SQLITE))):
        return f"its path {in_path}"
    return flaw


_ENGINES = {
    "sqlite": _Engine(
        _sqlite_flaw,
        lambda url, _: SqlStorage(SqliteDatabase.at(url)),
        SqliteFile.at,
        lambda url: str(Path(url.removeprefix(_SQLITE)).absolute()),
    ),
    "postgresql": _Engine(
        _postgres_flaw, _postgres, name=_postgres_name, reason_to_wait=_postgres_reason_to_wait
    ),
}
"""The engines there are, by the scheme of `ORDERGATE_DATABASE_URL`."""


def _database_flaw(url: str) -> str | None:
    if flaw := text_flaw(url):
        return flaw
    engine = _ENGINES.get(url.partition(":")[0])
    return engine.url_error(url) if engine else f"must begin with {' or '.join(_ENGINES)}"


def make_home(home: Path) -> None:
    """Make the folder of state, for its owner alone. Raises `StorageUnavailable`."""
    with file_errors(home):
        make_folder(home)


def storage_of(url: str, settings: Settings) -> Storage:
    """Make the storage that a URL without a flaw names."""
    return _ENGINES[url.partition(":")[0]].storage(url, settings)


def storage_file_of(url: str) -> StorageFile | None:
    """Make what copies the file of the storage that a URL without a flaw names, if it is one."""
    file = _ENGINES[url.partition(":")[0]].file
    return file(url) if file else None


def _database_of(url: str) -> DatabaseInUse:
    engine = _ENGINES[url.partition(":")[0]]
    return DatabaseInUse(
        engine.name(url), partial(engine.reason_to_wait, url) if engine.reason_to_wait else None
    )


_JWKS_MAX_AGE = timedelta(seconds=300)
"""How long others may keep the public keys before they ask again."""


def _key_schedule(settings: Settings) -> KeySchedule:
    """Wait for the last token of a key.

    A process may sign until its next look at the file, and times are kept in whole seconds.
    """
    seconds = settings.access_token_seconds + settings.leeway_seconds + LOOK_SECONDS + 1
    return KeySchedule(cache_time=_JWKS_MAX_AGE, token_time=timedelta(seconds=seconds))


def _signing_keys(settings: Settings, clock: Clock) -> StaticKeys | FileKeyRing:
    """Use the one key that is configured, or those in the folder of state."""
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


def _remote_keys(url: str) -> object:
    from ordergate.adapters.tokens.keys.remote_key_set import RemoteKeySet

    return RemoteKeySet(url)


def _external_tokens(**parts: Any) -> TokenVerifier:  # noqa: ANN401 - as the provider hands them
    from ordergate.adapters.tokens.external_token_verifier import (
        ExternalTokenVerifier,
    )

    return ExternalTokenVerifier(**parts)


def _verifier_of(settings: Settings) -> str:
    return "tokens" if settings.issues_tokens else "external_tokens"


def _key_flaw(file: str) -> str | None:
    try:
        SigningKey.from_file(Path(file))
    except InvalidSigningKey as error:
        return f"{error}; `openssl genpkey -algorithm ed25519 -out FILE` makes one"
    return None


def _throttle(settings: Settings) -> Throttle:
    from ordergate.adapters.throttling.limits_throttle import LimitsThrottle

    shared = None
    if settings.throttle_url is not None:
        from ordergate.adapters.throttling.redis_counters import RedisCounters

        shared = RedisCounters(settings.throttle_url.get_secret_value())
    return LimitsThrottle(
        per_account=settings.sign_in_failures_per_account,
        per_address=settings.sign_in_failures_per_address,
        window_seconds=settings.sign_in_window_seconds,
        shared=shared,
    )


def _revocation(settings: Settings, storage: Storage, clock: Clock) -> RevocationPolicy:
    if not settings.issues_tokens:
        return NoRevocation()
    match settings.revocation:
        case "until-expiry":
            return NoRevocation()
        case "at-once":
            return ImmediateRevocation(storage.sessions, clock)
        case seconds:
            lifetime = timedelta(seconds=settings.access_token_seconds + settings.leeway_seconds)
            return BoundedRevocation(
                storage.sessions,
                clock,
                timedelta(seconds=seconds),
                lifetime,
                identity=storage.identity,
            )


def _is_revocable(settings: Settings) -> bool:
    return settings.revocation != "until-expiry"


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
    hasher: providers.ThreadSafeSingleton[Any] = providers.ThreadSafeSingleton(
        BcryptPasswordHasher,
        cost=settings.provided.bcrypt_cost,
        threads=settings.provided.hashing_threads,
        queue=settings.provided.hashing_queue,
    )
    throttle: providers.Provider[Any] = providers.ThreadSafeSingleton(_throttle, settings)

    storage: providers.Provider[Any] = providers.ThreadSafeSingleton(
        storage_of, settings.provided.storage_url, settings
    )
    storage_file: providers.Provider[Any] = providers.ThreadSafeSingleton(
        storage_file_of, settings.provided.storage_url
    )
    database: providers.Provider[Any] = providers.ThreadSafeSingleton(
        _database_of, settings.provided.storage_url
    )
    users: providers.Provider[Any] = storage.provided.users
    sessions: providers.Provider[Any] = storage.provided.sessions
    orders: providers.Provider[Any] = storage.provided.orders
    staff_orders: providers.Provider[Any] = storage.provided.staff_orders
    loader: providers.Provider[Any] = storage.provided.loader

    remote_keys: providers.Provider[Any] = providers.ThreadSafeSingleton(
        _remote_keys, settings.provided.jwks_url
    )
    external_tokens: providers.Provider[Any] = providers.ThreadSafeSingleton(
        _external_tokens,
        keys=remote_keys,
        users=users,
        clock=clock,
        issuer=settings.provided.issuer,
        audience=settings.provided.audience,
        leeway=providers.Factory(timedelta, seconds=settings.provided.leeway_seconds),
        jwt_type=settings.provided.jwt_type,
        identity=storage.provided.identity,
    )
    verifier: providers.Provider[Any] = providers.Selector(
        providers.Callable(_verifier_of, settings), tokens=tokens, external_tokens=external_tokens
    )

    setting_validators: providers.Provider[Any] = providers.Object(
        {"signing_key_file": _key_flaw, "database_url": _database_flaw}
    )

    audit: providers.Provider[Any] = providers.ThreadSafeSingleton(LogAudit)
    session_rules = providers.ThreadSafeSingleton(
        SessionRules,
        idle=providers.Factory(timedelta, seconds=settings.provided.refresh_idle_seconds),
        lifetime=providers.Factory(timedelta, seconds=settings.provided.session_seconds),
        grace=providers.Factory(timedelta, seconds=settings.provided.refresh_grace_seconds),
        limit=settings.provided.sessions_per_user,
    )
    password_rules = providers.ThreadSafeSingleton(
        PasswordRules,
        min_length=settings.provided.min_password_length,
        common=providers.ThreadSafeSingleton(CommonPasswords),
    )
    revocation: providers.Provider[Any] = providers.ThreadSafeSingleton(
        _revocation, settings, storage, clock
    )

    register_user = providers.ThreadSafeSingleton(
        RegisterUser, users, hasher, password_rules, throttle, audit
    )
    authenticate_user = providers.ThreadSafeSingleton(
        AuthenticateUser, users, sessions, hasher, tokens, throttle, clock, audit, session_rules
    )
    refresh_session = providers.ThreadSafeSingleton(
        RefreshSession, sessions, tokens, clock, audit, session_rules
    )
    revoke_token = providers.ThreadSafeSingleton(
        RevokeToken,
        sessions,
        tokens,
        clock,
        audit,
        revocable=providers.Callable(_is_revocable, settings),
    )
    identify_caller = providers.ThreadSafeSingleton(IdentifyCaller, verifier, revocation)
    list_sessions = providers.ThreadSafeSingleton(ListSessions, sessions, clock)
    end_session = providers.ThreadSafeSingleton(EndSession, sessions, clock, audit)
    end_all_sessions = providers.ThreadSafeSingleton(EndAllSessions, sessions, clock, audit)
    get_account = providers.ThreadSafeSingleton(GetAccount, users)
    reauthenticate = providers.ThreadSafeSingleton(Reauthenticate, users, hasher, throttle, audit)
    change_password = providers.ThreadSafeSingleton(
        ChangePassword, users, hasher, reauthenticate, password_rules, clock, audit
    )
    close_account = providers.ThreadSafeSingleton(CloseAccount, users, reauthenticate, clock, audit)
    key_schedule = providers.ThreadSafeSingleton(_key_schedule, settings)
    key_changes = providers.ThreadSafeSingleton(
        KeyChanges, signing_keys, clock, key_schedule, audit
    )
    list_signing_keys = providers.ThreadSafeSingleton(ListSigningKeys, signing_keys)
    publish_signing_key = providers.ThreadSafeSingleton(PublishSigningKey, key_changes)
    import_signing_key = providers.ThreadSafeSingleton(ImportSigningKey, key_changes)
    promote_signing_key = providers.ThreadSafeSingleton(PromoteSigningKey, key_changes)
    retire_signing_key = providers.ThreadSafeSingleton(RetireSigningKey, key_changes)
    rotate_signing_keys = providers.ThreadSafeSingleton(RotateSigningKeys, key_changes)
    limit_of_writes = providers.ThreadSafeSingleton(writes)
    place_order = providers.ThreadSafeSingleton(
        PlaceOrder,
        orders,
        clock,
        key_life=providers.Factory(timedelta, seconds=settings.provided.idempotency_seconds),
        limit_of_caller=limit_of_writes,
    )
    list_own_orders = providers.ThreadSafeSingleton(ListOwnOrders, orders)
    cancel_order = providers.ThreadSafeSingleton(CancelOrder, orders, limit_of_writes)
    advance_order = providers.ThreadSafeSingleton(AdvanceOrder, orders, staff_orders)
    get_own_order = providers.ThreadSafeSingleton(GetOwnOrder, orders)
    purge_storage = providers.ThreadSafeSingleton(PurgeStorage, orders, sessions, clock)
    seed_storage = providers.ThreadSafeSingleton(SeedStorage, loader, hasher)
