"""The composition root: it chooses adapters and connects use cases to ports."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

from dependency_injector import containers
from dependency_injector.providers import (
    Callable,
    Dependency,
    Factory,
    Object,
    Provider,
)
from dependency_injector.providers import ThreadSafeSingleton as Singleton

from ordergate.adapters.audit.log_audit import LogAudit
from ordergate.adapters.system.system_clock import SystemClock
from ordergate.adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from ordergate.adapters.tokens.keys.file_key_ring import FileKeyRing
from ordergate.adapters.tokens.keys.key_source import StaticKeys
from ordergate.application.accounts.change_password import ChangePassword
from ordergate.application.accounts.close_account import CloseAccount
from ordergate.application.accounts.get_account import GetAccount
from ordergate.application.accounts.reauthenticate import Reauthenticate
from ordergate.application.accounts.register_user import RegisterUser
from ordergate.application.concurrency_limit import ConcurrencyLimit, make_write_limit
from ordergate.application.keys.import_signing_key import ImportSigningKey
from ordergate.application.keys.key_changes import KeyChanges
from ordergate.application.keys.list_signing_keys import ListSigningKeys
from ordergate.application.keys.promote_signing_key import PromoteSigningKey
from ordergate.application.keys.publish_signing_key import PublishSigningKey
from ordergate.application.keys.retire_signing_key import RetireSigningKey
from ordergate.application.keys.rotate_signing_keys import RotateSigningKeys
from ordergate.application.maintenance.purge_storage import PurgeStorage
from ordergate.application.maintenance.seed_storage import SeedStorage
from ordergate.application.orders.cancel_order import CancelOrder
from ordergate.application.orders.get_own_order import GetOwnOrder
from ordergate.application.orders.list_own_orders import ListOwnOrders
from ordergate.application.orders.place_order import PlaceOrder
from ordergate.application.ports.archive import StorageFile
from ordergate.application.ports.audit import Audit
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.application.ports.rate_limits import RateLimiter
from ordergate.application.ports.sessions import SessionRepository
from ordergate.application.ports.storage import BulkLoader, SeparateOrders, Storage
from ordergate.application.ports.tokens import TokenVerifier
from ordergate.application.ports.users import UserRepository
from ordergate.application.purpose_keys import PurposeKeys
from ordergate.application.sessions.authenticate_user import AuthenticateUser
from ordergate.application.sessions.end_all_sessions import EndAllSessions
from ordergate.application.sessions.end_session import EndSession
from ordergate.application.sessions.identify_caller import IdentifyCaller
from ordergate.application.sessions.list_sessions import ListSessions
from ordergate.application.sessions.refresh_session import RefreshSession
from ordergate.application.sessions.revocation import RevocationPolicy
from ordergate.application.sessions.revoke_token import RevokeToken
from ordergate.application.staff.advance_order import AdvanceOrder
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.session import SessionRules
from ordergate.domain.signing_keys import KeySchedule
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import (
    DatabaseInUse,
    describe_database,
    make_configured_storage,
    make_storage_file,
)
from ordergate.entrypoints.factories.passwords import (
    make_hasher,
    make_rate_limiter,
    make_shared_counters,
    make_throttle,
)
from ordergate.entrypoints.factories.rules import (
    get_access_token_lifetime,
    get_idempotency_key_lifetime,
    has_revocation,
    make_key_schedule,
    make_password_rules,
    make_scopes,
    make_session_rules,
)
from ordergate.entrypoints.factories.running_service import open_storage, run_service
from ordergate.entrypoints.factories.separate_orders import (
    choose_loader,
    choose_staff_orders,
    find_separate_orders,
)
from ordergate.entrypoints.factories.tokens import (
    choose_verifier,
    make_external_verifier,
    make_remote_keys,
    make_revocation,
    make_signing_keys,
    make_token_issuer,
)

if TYPE_CHECKING:  # these imports load `limits` and an HTTP client
    from ordergate.adapters.throttling.counting import SharedCounters
    from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet


def _users(storage: Storage) -> UserRepository:
    return storage.users


def _sessions(storage: Storage) -> SessionRepository:
    return storage.sessions


def _orders(storage: Storage) -> OrderRepository:
    return storage.orders


class Container(containers.DeclarativeContainer):
    """The parts of a process; calling a provider returns its part.

    `Singleton` makes a part once. `x.provider` passes a provider: the part is made when it is used.
    `Container(settings=...)` uses the configured adapters. Others are passed by name, such as
    `storage=InMemoryStorage()`. `orders` accepts `SeparateOrders`; `scopes` describes further ones.
    """

    settings: Provider[Settings] = Dependency(instance_of=Settings)
    scopes: Provider[Mapping[str, str]] = Object({})
    low_priority_hashing: Provider[bool] = Object(provides=True)

    # Ports
    clock: Provider[Clock] = Singleton(SystemClock)
    audit: Provider[Audit] = Singleton(LogAudit)
    storage: Provider[Storage] = Singleton(make_configured_storage, settings)
    users: Provider[UserRepository] = Callable(_users, storage)
    sessions: Provider[SessionRepository] = Callable(_sessions, storage)
    orders: Provider[OrderRepository] = Callable(_orders, storage)
    separate_orders: Provider[SeparateOrders | None] = Callable(
        find_separate_orders, storage, orders
    )
    staff_orders: Provider[StaffOrders] = Callable(choose_staff_orders, storage, separate_orders)
    loader: Provider[BulkLoader | None] = Callable(choose_loader, storage, separate_orders)
    purpose_keys: Provider[PurposeKeys] = Singleton(PurposeKeys, storage)
    storage_file: Provider[StorageFile | None] = Singleton(make_storage_file, settings)
    hasher: Provider[PasswordHasher] = Singleton(
        make_hasher, settings, low_priority=low_priority_hashing
    )
    counters: "Provider[SharedCounters | None]" = Singleton(make_shared_counters, settings)
    throttle: Provider[Throttle] = Singleton(make_throttle, settings, counters)
    rate_limiter: Provider[RateLimiter | None] = Singleton(make_rate_limiter, settings, counters)
    signing_keys: Provider[StaticKeys | FileKeyRing] = Singleton(make_signing_keys, settings, clock)
    tokens: Provider[JwtTokenIssuer] = Singleton(make_token_issuer, settings, signing_keys, clock)
    remote_keys: "Provider[dict[str, RemoteKeySet]]" = Singleton(make_remote_keys, settings)
    external_tokens: Provider[TokenVerifier] = Singleton(
        make_external_verifier, settings, remote_keys, users, storage, clock
    )
    verifier: Provider[TokenVerifier] = Callable(
        choose_verifier, settings, tokens.provider, external_tokens.provider
    )

    # Rules
    known_scopes: Provider[Mapping[str, str]] = Singleton(make_scopes, settings, scopes)
    password_rules: Provider[PasswordRules] = Singleton(make_password_rules, settings)
    token_life: Provider[timedelta] = Singleton(get_access_token_lifetime, settings)
    session_rules: Provider[SessionRules] = Singleton(make_session_rules, settings)
    revocation: Provider[RevocationPolicy] = Singleton(
        make_revocation, settings, sessions, storage, clock
    )
    key_schedule: Provider[KeySchedule] = Singleton(make_key_schedule, settings)
    write_limit: Provider[ConcurrencyLimit] = Singleton(make_write_limit)

    # Use cases: accounts
    register_user: Provider[RegisterUser] = Singleton(
        RegisterUser, users, hasher, password_rules, throttle, audit
    )
    get_account: Provider[GetAccount] = Singleton(GetAccount, users)
    reauthenticate: Provider[Reauthenticate] = Singleton(
        Reauthenticate, users, hasher, throttle, audit
    )
    change_password: Provider[ChangePassword] = Singleton(
        ChangePassword, users, hasher, reauthenticate, password_rules, clock, audit
    )
    close_account: Provider[CloseAccount] = Singleton(
        CloseAccount, users, reauthenticate, clock, audit, separate_orders, token_life=token_life
    )

    # Use cases: sessions
    authenticate_user: Provider[AuthenticateUser] = Singleton(
        AuthenticateUser, users, sessions, hasher, tokens, throttle, clock, audit, session_rules
    )
    refresh_session: Provider[RefreshSession] = Singleton(
        RefreshSession, sessions, tokens, clock, audit, session_rules, known_scopes
    )
    revoke_token: Provider[RevokeToken] = Singleton(
        RevokeToken, sessions, tokens, clock, audit, revocable=Callable(has_revocation, settings)
    )
    identify_caller: Provider[IdentifyCaller] = Singleton(IdentifyCaller, verifier, revocation)
    list_sessions: Provider[ListSessions] = Singleton(ListSessions, sessions, clock)
    end_session: Provider[EndSession] = Singleton(EndSession, sessions, clock, audit)
    end_all_sessions: Provider[EndAllSessions] = Singleton(EndAllSessions, sessions, clock, audit)

    # Use cases: orders
    place_order: Provider[PlaceOrder] = Singleton(
        PlaceOrder,
        orders,
        clock,
        key_life=Callable(get_idempotency_key_lifetime, settings),
        concurrency_limit=write_limit,
    )
    get_own_order: Provider[GetOwnOrder] = Singleton(GetOwnOrder, orders)
    list_own_orders: Provider[ListOwnOrders] = Singleton(ListOwnOrders, orders)
    cancel_order: Provider[CancelOrder] = Singleton(CancelOrder, orders, write_limit)
    advance_order: Provider[AdvanceOrder] = Singleton(AdvanceOrder, orders, staff_orders, audit)

    # Use cases: signing keys
    key_changes: Provider[KeyChanges] = Singleton(
        KeyChanges, signing_keys, clock, key_schedule, audit
    )
    list_signing_keys: Provider[ListSigningKeys] = Singleton(ListSigningKeys, signing_keys)
    publish_signing_key: Provider[PublishSigningKey] = Singleton(PublishSigningKey, key_changes)
    import_signing_key: Provider[ImportSigningKey] = Singleton(ImportSigningKey, key_changes)
    promote_signing_key: Provider[PromoteSigningKey] = Singleton(PromoteSigningKey, key_changes)
    retire_signing_key: Provider[RetireSigningKey] = Singleton(RetireSigningKey, key_changes)
    rotate_signing_keys: Provider[RotateSigningKeys] = Singleton(RotateSigningKeys, key_changes)

    # Use cases: maintenance
    purge_storage: Provider[PurgeStorage] = Singleton(PurgeStorage, orders, sessions, clock)
    seed_storage: Provider[SeedStorage] = Singleton(SeedStorage, loader, hasher)

    # The process
    database: Provider[DatabaseInUse] = Singleton(describe_database, settings)
    opened_storage: Provider[AbstractAsyncContextManager[None]] = Factory(
        open_storage, storage, separate_orders
    )
    running_service: Provider[AbstractAsyncContextManager[None]] = Factory(
        run_service,
        settings=settings,
        storage=storage,
        separate_orders=separate_orders,
        verifier=verifier.provider,
        revocation=revocation.provider,
        hasher=hasher.provider,
        throttle=throttle.provider,
        rate_limiter=rate_limiter.provider,
        remote_keys=remote_keys.provider,
    )
