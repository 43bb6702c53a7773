from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from ordergate.adapters.memory import InMemoryStorage, InMemoryUserRepository
from ordergate.application.errors import (
    AccountHasOpenOrders,
    InvalidCredentials,
    InvalidGrant,
    InvalidToken,
    Throttled,
    UsernameTaken,
    WrongPassword,
)
from ordergate.application.ports.audit import AuditEvent, Origin
from ordergate.application.ports.passwords import Requester
from ordergate.application.ports.tokens import Caller
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.errors import InvalidPassword, InvalidUsername, WeakPassword
from ordergate.domain.order import FINAL_STATUSES, OrderId, OrderStatus
from ordergate.domain.session import SessionId
from ordergate.domain.user import Password, PasswordHash, User, UserId, Username
from tests.support.builders import an_order
from tests.support.identity.identity_harness import (
    ELSEWHERE,
    HOME,
    NEW_PASSWORD,
    PASSWORD,
    IdentityHarness,
)
from tests.support.storage.storage_calls import get_loader


@pytest.fixture
def harness() -> IdentityHarness:
    return IdentityHarness(InMemoryStorage())


async def test_registered_user_can_sign_in(harness: IdentityHarness) -> None:
    user = await harness.register_user("Alice", PASSWORD, origin=HOME)
    assert user.username == Username("alice")
    caller = await harness.caller(await harness.sign_in("ALICE"))
    assert await harness.get_account(user=caller.id) == user
    assert harness.audit.events[0] == (AuditEvent.ACCOUNT_OPENED, HOME, user.id, None, "")


async def test_taken_name_costs_the_same_work(harness: IdentityHarness) -> None:
    await harness.register_user("alice", PASSWORD)
    with pytest.raises(UsernameTaken):
        await harness.register_user("ａlicE", PASSWORD)
    assert harness.hasher.hashed == 2


async def test_each_hash_is_computed_for_its_client_and_account(harness: IdentityHarness) -> None:
    stranger, known = (
        Requester.from_client(HOME.address, "alice", known=known) for known in (False, True)
    )
    await harness.register_user("alice", PASSWORD, origin=HOME)
    await harness.sign_in("ALICE")
    caller = await harness.caller(await harness.sign_in("alice"))
    assert harness.hasher.requesters == [stranger, stranger, known]
    await harness.change_password(PASSWORD, NEW_PASSWORD, caller=caller, origin=HOME)
    await harness.close_account(NEW_PASSWORD, caller=caller, origin=HOME)
    assert harness.hasher.requesters[3:] == [known] * 3
    await harness.register_user("by-the-operator", PASSWORD)
    assert harness.hasher.requesters[-1] is None


async def test_sign_ups_of_an_address_are_limited_before_hashing(
    harness: IdentityHarness,
) -> None:
    for i in range(6):
        await harness.register_user(f"user{i}", PASSWORD, origin=HOME)
    with pytest.raises(Throttled):
        await harness.register_user("one-more", PASSWORD, origin=HOME)
    assert harness.hasher.hashed == 6
    assert harness.audit.events[-1] == (AuditEvent.SIGN_UP_THROTTLED, HOME, None, None, "")
    await harness.register_user("one-more", PASSWORD, origin=ELSEWHERE)
    await harness.register_user("by-the-operator", PASSWORD)


@pytest.mark.parametrize(
    ("name", "password", "error"),
    [
        ("", PASSWORD, InvalidUsername),
        ("a b", PASSWORD, InvalidUsername),
        ("alice", "", InvalidPassword),
        ("alice", "short", WeakPassword),
        ("alice", "passwordpassword1", WeakPassword),
    ],
)
async def test_invalid_account_is_not_registered(
    harness: IdentityHarness, name: str, password: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await harness.register_user(name, password)
    assert harness.hasher.hashed == 0


async def test_changed_password_ends_every_other_session(harness: IdentityHarness) -> None:
    alice = await harness.add_alice()
    here, there = await harness.sign_in(), await harness.sign_in(origin=ELSEWHERE)
    caller, other = await harness.caller(here), await harness.caller(there)
    await harness.change_password(PASSWORD, NEW_PASSWORD, caller=caller, origin=HOME)
    assert await harness.caller(here) == caller
    await harness.refresh(here.refresh.text)
    with pytest.raises(InvalidToken):
        await harness.caller(there)
    with pytest.raises(InvalidGrant):
        await harness.refresh(there.refresh.text)
    with pytest.raises(InvalidCredentials):
        await harness.sign_in(password=PASSWORD)
    await harness.sign_in(password=NEW_PASSWORD)
    assert (AuditEvent.PASSWORD_CHANGED, HOME, alice.id, caller.session, "") in harness.audit.events
    assert (
        AuditEvent.SESSION_ENDED,
        HOME,
        alice.id,
        other.session,
        "password changed",
    ) in harness.audit.events


@pytest.mark.parametrize(
    ("current", "new", "error"),
    [
        ("wrong", NEW_PASSWORD, WrongPassword),
        ("", NEW_PASSWORD, WrongPassword),
        (PASSWORD, "short", WeakPassword),
        (PASSWORD, "\0" * 20, InvalidPassword),
        (PASSWORD, "alice alice alice", WeakPassword),
    ],
)
async def test_password_is_not_changed_when_the_request_is_invalid(
    harness: IdentityHarness, current: str, new: str, error: type[Exception]
) -> None:
    await harness.add_alice()
    caller = await harness.caller(await harness.sign_in())
    with pytest.raises(error):
        await harness.change_password(current, new, caller=caller, origin=HOME)
    await harness.sign_in(password=PASSWORD)


async def test_parallel_password_changes_succeed_once(
    harness: IdentityHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.add_alice()
    caller = await harness.caller(await harness.sign_in())
    users = harness.storage.users

    async def changed_meanwhile(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(users, "change_password", changed_meanwhile)
    with pytest.raises(WrongPassword):
        await harness.change_password(PASSWORD, NEW_PASSWORD, caller=caller, origin=HOME)
    monkeypatch.setattr(users, "close", changed_meanwhile)
    with pytest.raises(WrongPassword):
        await harness.close_account(PASSWORD, caller=caller, origin=HOME)


async def test_stolen_token_does_not_allow_guessing(harness: IdentityHarness) -> None:
    alice = await harness.add_alice()
    caller = await harness.caller(await harness.sign_in())
    for _ in range(3):
        with pytest.raises(WrongPassword):
            await harness.change_password("wrong", NEW_PASSWORD, caller=caller, origin=ELSEWHERE)
    assert harness.audit.events[-1] == (
        AuditEvent.SIGN_IN_REFUSED, ELSEWHERE, alice.id, None, "confirmation",
    )  # fmt: skip
    with pytest.raises(Throttled):
        await harness.close_account(PASSWORD, caller=caller, origin=ELSEWHERE)
    again = await harness.caller(await harness.sign_in(origin=ELSEWHERE))
    await harness.change_password(PASSWORD, NEW_PASSWORD, caller=again, origin=ELSEWHERE)
    assert AuditEvent.SIGN_IN_THROTTLED in {event for event, *_ in harness.audit.events}


async def test_password_change_is_not_blocked_by_failures_without_the_token(
    harness: IdentityHarness,
) -> None:
    await harness.add_alice()
    caller = await harness.caller(await harness.sign_in())
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            await harness.sign_in(password="wrong", origin=ELSEWHERE)
    await harness.change_password(PASSWORD, NEW_PASSWORD, caller=caller, origin=Origin("new", ""))


async def test_closed_account_is_not_found_and_its_name_is_free(harness: IdentityHarness) -> None:
    alice = await harness.add_alice()
    grant = await harness.sign_in()
    caller = await harness.caller(grant)
    await harness.close_account(PASSWORD, caller=Caller(alice.id, "shop"), origin=HOME)
    assert harness.audit.events[-2:] == [
        (AuditEvent.SESSION_ENDED, HOME, alice.id, caller.session, "account closed"),
        (AuditEvent.ACCOUNT_CLOSED, HOME, alice.id, None, ""),
    ]
    with pytest.raises(InvalidToken):
        await harness.caller(grant)
    with pytest.raises(InvalidToken):
        await harness.get_account(user=alice.id)
    with pytest.raises(InvalidCredentials):
        await harness.sign_in()
    again = await harness.register_user("alice", PASSWORD)
    assert again.id != alice.id


@pytest.mark.parametrize("status", [*OrderStatus, "a status of another version"])
async def test_account_is_closed_when_its_orders_are_done(
    harness: IdentityHarness, status: str
) -> None:
    stored = await harness.hasher.hash(Password(PASSWORD))
    order = replace(an_order(), status=status)
    alice = User(UserId(1), Username("alice"), stored)
    await get_loader(harness.storage).load([alice], [order])
    if status not in FINAL_STATUSES:
        with pytest.raises(AccountHasOpenOrders):
            await harness.close_account(PASSWORD, caller=Caller(alice.id, "shop"), origin=HOME)
        await harness.sign_in()
    else:
        await harness.close_account(PASSWORD, caller=Caller(alice.id, "shop"), origin=HOME)
    assert await harness.storage.orders.get_owned(OrderId(7), owner=alice.id) == order


async def test_account_is_not_closed_with_a_wrong_password(harness: IdentityHarness) -> None:
    alice = await harness.add_alice()
    with pytest.raises(WrongPassword):
        await harness.close_account("wrong", caller=Caller(alice.id, "shop"), origin=HOME)
    await harness.sign_in()


class UpgradingUserRepository(InMemoryUserRepository):
    """Another sign-in replaces a weak hash just before the write."""

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        await self.upgrade(change.user)
        return await super().change_password(change)

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        await self.upgrade(user_id)
        return await super().close(user_id, password_hash=password_hash, at=at)

    async def upgrade(self, user_id: UserId) -> None:
        weak = self._tables.users[user_id]
        strong = PasswordHash(weak.password_hash.replace("1$", "2$"))
        self._tables.users[user_id] = replace(weak, password_hash=strong)


@pytest.mark.parametrize("what", ["change", "close"])
async def test_password_matches_when_its_hash_is_upgraded_meanwhile(what: str) -> None:
    storage = InMemoryStorage()
    storage.users = UpgradingUserRepository(storage.tables)
    harness = IdentityHarness(storage)
    alice = await harness.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    caller = Caller(alice.id, "shop")
    if what == "change":
        await harness.change_password(PASSWORD, NEW_PASSWORD, caller=caller, origin=HOME)
        await harness.sign_in(password=NEW_PASSWORD)
    else:
        await harness.close_account(PASSWORD, caller=Caller(alice.id, "shop"), origin=HOME)
        assert await storage.users.get(alice.id) is None
