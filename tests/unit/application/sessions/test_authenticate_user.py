import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from ordergate.adapters.memory import (
    InMemorySessionRepository,
    InMemoryStorage,
    InMemoryUserRepository,
)
from ordergate.application.errors import InvalidCredentials, StorageUnavailable, Throttled
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.ports.tokens import Caller
from ordergate.domain.scope import ALL_SCOPES, Scope
from ordergate.domain.session import Session
from ordergate.domain.user import Password, PasswordHash, UserId
from tests.support.identity_harness import ELSEWHERE, HOME, NEW_PASSWORD, PASSWORD, IdentityHarness


@pytest.fixture
def world() -> IdentityHarness:
    return IdentityHarness(InMemoryStorage())


async def test_name_and_password_start_a_session(world: IdentityHarness) -> None:
    alice = await world.add_alice()
    grant = await world.sign_in("Alice")
    (session,) = await world.list_sessions(user=alice.id)
    now = world.clock.now()
    assert session == Session(
        id=session.id,
        user=alice.id,
        client_id="shop",
        address=HOME.address,
        scope=ALL_SCOPES,
        started_at=now,
        last_used_at=now,
        expires_at=now + timedelta(days=30),
    )
    assert await world.caller(grant) == Caller(alice.id, "shop", ALL_SCOPES, session.id)
    assert grant.access.expires_in == 900
    assert world.audit.events == [(AuditEvent.SIGNED_IN, HOME, alice.id, session.id, "")]


async def test_token_has_the_scope_that_was_asked_for(world: IdentityHarness) -> None:
    await world.add_alice()
    grant = await world.sign_in(scope=frozenset({Scope.ORDERS_READ}))
    assert (await world.caller(grant)).scope == grant.scope == {Scope.ORDERS_READ}


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong"),
        ("alice", PASSWORD + " "),
        ("bob", PASSWORD),
        ("", PASSWORD),
        ("alice", ""),
        ("alice", "a\0b"),
        ("alice", "\ud800"),
        ("alice", "x" * 5000),
        ("\ud800", PASSWORD),
        ("x" * 10_000, PASSWORD),
    ],
)
async def test_other_credentials_are_refused_alike_after_one_comparison(
    world: IdentityHarness, username: str, password: str
) -> None:
    alice = await world.add_alice()
    with pytest.raises(InvalidCredentials) as refusal:
        await world.sign_in(username, password)
    assert str(refusal.value) == ""
    assert len(world.hasher.verified) == 1
    assert not await world.list_sessions(user=alice.id)
    known = alice.id if username == "alice" else None
    assert world.audit.events == [(AuditEvent.SIGN_IN_REFUSED, HOME, known, None, "")]


async def test_stand_in_password_opens_no_account(world: IdentityHarness) -> None:
    await world.add_alice(await world.hasher.hash(Password("nobody's password")))
    with pytest.raises(InvalidCredentials):
        await world.sign_in("alice", "\0")


async def test_weak_hash_is_replaced_when_its_owner_signs_in(world: IdentityHarness) -> None:
    alice = await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    await world.sign_in()
    stored = await world.storage.users.find(alice.username)
    assert stored is not None
    assert stored.password_hash.startswith("2$")
    await world.sign_in()


async def test_parallel_sign_ins_succeed_while_a_weak_hash_is_replaced(
    world: IdentityHarness,
) -> None:
    alice = await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    world.hasher.pause = True
    grants = await asyncio.gather(*(world.sign_in() for _ in range(3)))
    assert {(await world.caller(grant)).id for grant in grants} == {alice.id}


async def test_wrong_guess_replaces_nothing(world: IdentityHarness) -> None:
    alice = await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    with pytest.raises(InvalidCredentials):
        await world.sign_in("alice", "wrong")
    assert await world.storage.users.find(alice.username) == alice


class FullUserRepository(InMemoryUserRepository):
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        raise StorageUnavailable("the disk is full")


async def test_sign_in_succeeds_when_the_upgraded_hash_cannot_be_stored() -> None:
    storage = InMemoryStorage()
    storage.users = FullUserRepository(storage.tables)
    world = IdentityHarness(storage)
    alice = await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    assert (await world.caller(await world.sign_in())).id == alice.id


class ChangingUserRepository(InMemoryUserRepository):
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        user = self._tables.users[user_id]
        self._tables.users[user_id] = replace(user, password_hash=PasswordHash("changed"))
        return False


async def test_sign_in_is_refused_when_the_password_changes_meanwhile() -> None:
    storage = InMemoryStorage()
    storage.users = ChangingUserRepository(storage.tables)
    world = IdentityHarness(storage)
    await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    with pytest.raises(InvalidCredentials):
        await world.sign_in()


async def test_wrong_guesses_are_throttled_before_hashing(world: IdentityHarness) -> None:
    for name in ("alice", "nobody"):
        if name == "alice":
            await world.add_alice()
        for _ in range(3):
            with pytest.raises(InvalidCredentials):
                await world.sign_in(name, "wrong", origin=ELSEWHERE)
    world.hasher.verified.clear()
    for name in ("alice", "ALICE", "nobody"):
        with pytest.raises(Throttled) as refusal:
            await world.sign_in(name, origin=ELSEWHERE)
        assert 1 <= refusal.value.retry_after <= 60
    assert not world.hasher.verified
    assert world.audit.events[-1][0] is AuditEvent.SIGN_IN_THROTTLED


async def test_user_is_not_blocked_at_a_familiar_address(world: IdentityHarness) -> None:
    await world.add_alice()
    await world.sign_in(origin=HOME)
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            await world.sign_in("alice", "wrong", origin=ELSEWHERE)
    with pytest.raises(Throttled):
        await world.sign_in(origin=ELSEWHERE)
    await world.sign_in(origin=HOME)


async def test_overlong_password_is_an_ordinary_wrong_guess(world: IdentityHarness) -> None:
    await world.add_alice()
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            await world.sign_in("alice", "x" * 5000)
    with pytest.raises(Throttled):
        await world.sign_in("alice", NEW_PASSWORD)


class ChangingSessionRepository(InMemorySessionRepository):
    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        stored = self._tables.users[user]
        self._tables.users[user] = replace(stored, password_hash=PasswordHash("changed"))
        return False


async def test_sign_in_is_refused_when_the_password_changes_during_hashing() -> None:
    storage = InMemoryStorage()
    storage.sessions = ChangingSessionRepository(storage.tables)
    world = IdentityHarness(storage)
    await world.add_alice()
    with pytest.raises(InvalidCredentials):
        await world.sign_in()


class ClosingUserRepository(InMemoryUserRepository):
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        del self._tables.users[user_id]
        return False


async def test_sign_in_is_refused_when_the_account_is_closed_during_an_upgrade() -> None:
    storage = InMemoryStorage()
    storage.users = ClosingUserRepository(storage.tables)
    world = IdentityHarness(storage)
    await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    with pytest.raises(InvalidCredentials):
        await world.sign_in()
