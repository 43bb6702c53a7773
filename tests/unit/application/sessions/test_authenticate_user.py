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
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session
from ordergate.domain.user import Password, PasswordHash, UserId
from tests.support.identity.identity_harness import (
    ELSEWHERE,
    HOME,
    NEW_PASSWORD,
    PASSWORD,
    IdentityHarness,
)


@pytest.fixture
def harness() -> IdentityHarness:
    return IdentityHarness(InMemoryStorage())


async def test_name_and_password_start_a_session(harness: IdentityHarness) -> None:
    alice = await harness.add_alice()
    grant = await harness.sign_in("Alice")
    (session,) = await harness.list_sessions(user=alice.id)
    now = harness.clock.now()
    assert session == Session(
        id=session.id,
        user=alice.id,
        client_id="shop",
        address=HOME.address,
        scope=frozenset(Scope),
        started_at=now,
        last_used_at=now,
        expires_at=now + timedelta(days=30),
    )
    assert await harness.caller(grant) == Caller(alice.id, "shop", frozenset(Scope), session.id)
    assert grant.access.expires_in == 900
    assert harness.audit.events == [(AuditEvent.SIGNED_IN, HOME, alice.id, session.id, "")]


async def test_token_has_the_scope_that_was_asked_for(harness: IdentityHarness) -> None:
    await harness.add_alice()
    grant = await harness.sign_in(scope=frozenset({Scope.ORDERS_READ}))
    assert (await harness.caller(grant)).scope == grant.scope == {Scope.ORDERS_READ}


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
    harness: IdentityHarness, username: str, password: str
) -> None:
    alice = await harness.add_alice()
    with pytest.raises(InvalidCredentials) as refusal:
        await harness.sign_in(username, password)
    assert str(refusal.value) == ""
    assert len(harness.hasher.verified) == 1
    assert not await harness.list_sessions(user=alice.id)
    known = alice.id if username == "alice" else None
    assert harness.audit.events == [(AuditEvent.SIGN_IN_REFUSED, HOME, known, None, "")]


async def test_stand_in_password_opens_no_account(harness: IdentityHarness) -> None:
    await harness.add_alice(await harness.hasher.hash(Password("nobody's password")))
    with pytest.raises(InvalidCredentials):
        await harness.sign_in("alice", "\0")


async def test_weak_hash_is_replaced_when_its_owner_signs_in(harness: IdentityHarness) -> None:
    alice = await harness.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    await harness.sign_in()
    stored = await harness.storage.users.find(alice.username)
    assert stored is not None
    assert stored.password_hash.startswith("2$")
    await harness.sign_in()


async def test_parallel_sign_ins_succeed_while_a_weak_hash_is_replaced(
    harness: IdentityHarness,
) -> None:
    alice = await harness.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    harness.hasher.pause = True
    grants = await asyncio.gather(*(harness.sign_in() for _ in range(3)))
    assert {(await harness.caller(grant)).id for grant in grants} == {alice.id}


async def test_wrong_guess_replaces_nothing(harness: IdentityHarness) -> None:
    alice = await harness.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    with pytest.raises(InvalidCredentials):
        await harness.sign_in("alice", "wrong")
    assert await harness.storage.users.find(alice.username) == alice


async def make_harness_before_upgrade(users: type[InMemoryUserRepository]) -> IdentityHarness:
    """Return a harness where alice's hash needs an upgrade."""
    storage = InMemoryStorage()
    storage.users = users(storage.tables)
    harness = IdentityHarness(storage)
    await harness.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    return harness


class FullUserRepository(InMemoryUserRepository):
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        raise StorageUnavailable("the disk is full")


async def test_sign_in_succeeds_when_the_upgraded_hash_cannot_be_stored() -> None:
    storage = InMemoryStorage()
    storage.users = FullUserRepository(storage.tables)
    harness = IdentityHarness(storage)
    alice = await harness.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    assert (await harness.caller(await harness.sign_in())).id == alice.id


class ChangingUserRepository(InMemoryUserRepository):
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        user = self._tables.users[user_id]
        self._tables.users[user_id] = replace(user, password_hash=PasswordHash("changed"))
        return False


async def test_sign_in_is_refused_when_the_password_changes_meanwhile() -> None:
    harness = await make_harness_before_upgrade(ChangingUserRepository)
    with pytest.raises(InvalidCredentials):
        await harness.sign_in()


async def test_wrong_guesses_are_throttled_before_hashing(harness: IdentityHarness) -> None:
    for name in ("alice", "nobody"):
        if name == "alice":
            await harness.add_alice()
        for _ in range(3):
            with pytest.raises(InvalidCredentials):
                await harness.sign_in(name, "wrong", origin=ELSEWHERE)
    harness.hasher.verified.clear()
    for name in ("alice", "ALICE", "nobody"):
        with pytest.raises(Throttled) as refusal:
            await harness.sign_in(name, origin=ELSEWHERE)
        assert 1 <= refusal.value.retry_after <= 60
    assert not harness.hasher.verified
    assert harness.audit.events[-1][0] is AuditEvent.SIGN_IN_THROTTLED


async def test_user_is_not_blocked_at_a_familiar_address(harness: IdentityHarness) -> None:
    await harness.add_alice()
    await harness.sign_in(origin=HOME)
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            await harness.sign_in("alice", "wrong", origin=ELSEWHERE)
    with pytest.raises(Throttled):
        await harness.sign_in(origin=ELSEWHERE)
    await harness.sign_in(origin=HOME)


async def test_overlong_password_is_an_ordinary_wrong_guess(harness: IdentityHarness) -> None:
    await harness.add_alice()
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            await harness.sign_in("alice", "x" * 5000)
    with pytest.raises(Throttled):
        await harness.sign_in("alice", NEW_PASSWORD)


class ChangingSessionRepository(InMemorySessionRepository):
    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        stored = self._tables.users[user]
        self._tables.users[user] = replace(stored, password_hash=PasswordHash("changed"))
        return False


async def test_sign_in_is_refused_when_the_password_changes_during_hashing() -> None:
    storage = InMemoryStorage()
    storage.sessions = ChangingSessionRepository(storage.tables)
    harness = IdentityHarness(storage)
    await harness.add_alice()
    with pytest.raises(InvalidCredentials):
        await harness.sign_in()


class ClosingUserRepository(InMemoryUserRepository):
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        del self._tables.users[user_id]
        return False


async def test_sign_in_is_refused_when_the_account_is_closed_during_an_upgrade() -> None:
    harness = await make_harness_before_upgrade(ClosingUserRepository)
    with pytest.raises(InvalidCredentials):
        await harness.sign_in()
