"""Staff set passwords, and disable and enable accounts."""

from dataclasses import replace

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import AccountChanged, InvalidCredentials
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.staff.account_access import DisableAccount, EnableAccount
from ordergate.application.staff.list_accounts import ListAccounts
from ordergate.application.staff.replace_hash import ReplaceHash
from ordergate.application.staff.set_password import SetPassword
from ordergate.domain.errors import InvalidPassword, WeakPassword
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import PasswordHash, User, UserId
from tests.support.identity.identity_harness import NEW_PASSWORD, PASSWORD, IdentityHarness


class Staff:
    """The use cases of staff around the storage of a harness."""

    def __init__(self, harness: IdentityHarness) -> None:
        users = harness.storage.users
        replace_hash = ReplaceHash(users, harness.clock, harness.audit)
        rules = PasswordRules(min_length=15, common=set())
        self.list_accounts = ListAccounts(users)
        self.set_password = SetPassword(harness.hasher, rules, replace_hash)
        self.disable = DisableAccount(replace_hash)
        self.enable = EnableAccount(users, harness.audit)


@pytest.fixture
def harness() -> IdentityHarness:
    return IdentityHarness(InMemoryStorage())


@pytest.fixture
def staff(harness: IdentityHarness) -> Staff:
    return Staff(harness)


@pytest.fixture
async def alice(harness: IdentityHarness) -> User:
    return await harness.add_alice()


async def stored(harness: IdentityHarness, user: User) -> User:
    found = await harness.storage.users.get(user.id)
    assert found
    return found


async def test_set_password_ends_every_session(
    harness: IdentityHarness, staff: Staff, alice: User
) -> None:
    session = (await harness.caller(await harness.sign_in())).session
    harness.audit.events.clear()
    await staff.set_password(alice, NEW_PASSWORD)
    assert harness.audit.events == [
        (AuditEvent.PASSWORD_SET, None, alice.id, None, ""),
        (AuditEvent.SESSION_ENDED, None, alice.id, session, SessionEndReason.PASSWORD_CHANGED),
    ]
    assert await harness.list_sessions(user=alice.id) == []
    with pytest.raises(InvalidCredentials):
        await harness.sign_in(password=PASSWORD)
    await harness.sign_in(password=NEW_PASSWORD)


@pytest.mark.parametrize(
    ("password", "error"), [("too short", WeakPassword), ("a\tb", InvalidPassword)]
)
async def test_set_password_refuses_what_a_user_could_not_choose(
    harness: IdentityHarness, staff: Staff, alice: User, password: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await staff.set_password(alice, password)
    await harness.sign_in()


async def test_disabled_account_refuses_its_password_and_has_no_session(
    harness: IdentityHarness, staff: Staff, alice: User
) -> None:
    session = (await harness.caller(await harness.sign_in())).session
    harness.audit.events.clear()
    await staff.disable(alice)
    assert harness.audit.events == [
        (AuditEvent.ACCOUNT_DISABLED, None, alice.id, None, ""),
        (AuditEvent.SESSION_ENDED, None, alice.id, session, SessionEndReason.ACCOUNT_DISABLED),
    ]
    disabled = await stored(harness, alice)
    assert disabled.is_disabled
    with pytest.raises(InvalidCredentials):
        await harness.sign_in()
    await staff.disable(disabled)
    assert await stored(harness, alice) == disabled
    await staff.enable(disabled)
    assert await stored(harness, alice) == alice
    assert harness.audit.events[-1] == (AuditEvent.ACCOUNT_ENABLED, None, alice.id, None, "")
    await harness.sign_in()


async def test_enabling_an_enabled_account_does_nothing(
    harness: IdentityHarness, staff: Staff, alice: User
) -> None:
    harness.audit.events.clear()
    await staff.enable(alice)
    assert harness.audit.events == []


async def test_disabled_account_stays_disabled_with_a_new_password(
    harness: IdentityHarness, staff: Staff, alice: User
) -> None:
    await staff.disable(alice)
    await staff.set_password(await stored(harness, alice), NEW_PASSWORD)
    with pytest.raises(InvalidCredentials):
        await harness.sign_in(password=NEW_PASSWORD)
    await staff.enable(await stored(harness, alice))
    await harness.sign_in(password=NEW_PASSWORD)


async def test_change_of_an_account_that_changed_meanwhile_is_refused(
    staff: Staff, alice: User
) -> None:
    earlier = replace(alice, password_hash=PasswordHash("an earlier hash"))
    for change in (
        staff.set_password(earlier, NEW_PASSWORD),
        staff.disable(earlier),
        staff.enable(earlier.disabled()),
    ):
        with pytest.raises(AccountChanged):
            await change


async def test_accounts_are_listed_after_an_id(staff: Staff, alice: User) -> None:
    assert list(await staff.list_accounts(after=UserId(0), limit=9)) == [alice]
    assert list(await staff.list_accounts(after=alice.id, limit=9)) == []
