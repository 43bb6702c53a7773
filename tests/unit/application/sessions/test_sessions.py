import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import (
    InvalidGrant,
    InvalidToken,
    SessionNotFound,
    UnsupportedTokenType,
)
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.ports.tokens import Caller
from ordergate.application.sessions.revoke_token import RevokeToken
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import UserId
from tests.support.identity.identity_harness import ELSEWHERE, HOME, IdentityHarness


@pytest.fixture
async def harness() -> IdentityHarness:
    harness = IdentityHarness(InMemoryStorage())
    await harness.add_alice()
    return harness


async def test_sessions_are_listed_the_latest_used_first(harness: IdentityHarness) -> None:
    first = await harness.sign_in(origin=ELSEWHERE)
    harness.clock.advance(minutes=1)
    second = await harness.sign_in(client_id="app")
    caller = await harness.caller(second)
    listed = await harness.list_sessions(user=caller.id)
    assert [(s.client_id, s.address) for s in listed] == [
        ("app", HOME.address),
        ("shop", ELSEWHERE.address),
    ]
    harness.clock.advance(minutes=1)
    await harness.refresh(first.refresh.text)
    assert [s.client_id for s in await harness.list_sessions(user=caller.id)] == ["shop", "app"]
    assert not await harness.list_sessions(user=UserId(99))


async def test_ended_session_is_neither_renewed_nor_accepted(
    harness: IdentityHarness,
) -> None:
    mine, other = await harness.sign_in(), await harness.sign_in()
    caller = await harness.caller(mine)
    assert caller.session is not None
    await harness.end_session(caller.session, user=caller.id, origin=ELSEWHERE)
    with pytest.raises(InvalidGrant):
        await harness.refresh(mine.refresh.text)
    with pytest.raises(InvalidToken):
        await harness.caller(mine)
    await harness.caller(other)
    ending = (AuditEvent.SESSION_ENDED, ELSEWHERE, caller.id, caller.session, "signed out")
    assert ending in harness.audit.events
    with pytest.raises(SessionNotFound):
        await harness.end_session(caller.session, user=caller.id, origin=HOME)


async def test_session_of_another_user_is_not_found(harness: IdentityHarness) -> None:
    grant = await harness.sign_in()
    session = (await harness.caller(grant)).session
    assert session is not None
    for wanted, user in ((session, UserId(99)), (SessionId("0" * 32), UserId(1))):
        with pytest.raises(SessionNotFound):
            await harness.end_session(wanted, user=user, origin=HOME)
    await harness.caller(grant)


async def test_end_all_sessions_ends_every_session(harness: IdentityHarness) -> None:
    grants = [await harness.sign_in() for _ in range(3)]
    caller = await harness.caller(grants[0])
    await harness.end_all_sessions(user=caller.id, origin=HOME)
    for grant in grants:
        with pytest.raises(InvalidToken):
            await harness.caller(grant)
    assert [event for event, *_ in harness.audit.events].count(AuditEvent.SESSION_ENDED) == 3


async def test_sign_in_beyond_the_limit_ends_the_session_that_expires_first() -> None:
    harness = IdentityHarness(InMemoryStorage(), most_sessions=2)
    await harness.add_alice()
    first = await harness.sign_in()
    caller = await harness.caller(first)
    harness.clock.advance(minutes=1)
    second = await harness.sign_in()
    harness.clock.advance(minutes=1)
    third = await harness.sign_in(origin=ELSEWHERE)
    with pytest.raises(InvalidToken):
        await harness.caller(first)
    for grant in (second, third):
        await harness.caller(grant)
    ending = (
        AuditEvent.SESSION_ENDED, ELSEWHERE, caller.id, caller.session, "too many sessions"
    )  # fmt: skip
    assert ending in harness.audit.events


@pytest.mark.parametrize("kind", ["refresh", "access"])
async def test_token_that_is_revoked_ends_its_session(harness: IdentityHarness, kind: str) -> None:
    grant = await harness.sign_in()
    session = (await harness.caller(grant)).session
    assert session is not None
    token = grant.refresh.text if kind == "refresh" else grant.access.value
    with pytest.raises(InvalidGrant):
        await harness.revoke_token(token, client_id="other", origin=HOME)
    await harness.caller(grant)
    for client_id in ("shop", None):
        await harness.revoke_token(token, client_id=client_id, origin=HOME)
    with pytest.raises(InvalidToken):
        await harness.caller(grant)
    assert isinstance(harness.storage, InMemoryStorage)
    assert harness.storage.tables.endings[session][1] is SessionEndReason.REVOKED


@pytest.mark.parametrize("token", ["", "x", "ogr_" + "A" * 43, "a.b.c"])
async def test_unknown_token_is_ignored_by_revocation(harness: IdentityHarness, token: str) -> None:
    await harness.revoke_token(token, client_id=None, origin=HOME)
    assert not harness.audit.events


async def test_token_without_a_session_ends_no_session(harness: IdentityHarness) -> None:
    token = harness.tokens.issue(Caller(UserId(1), "shop")).value
    await harness.revoke_token(token, client_id=None, origin=HOME)
    assert not harness.audit.events


async def test_unrevocable_token_is_refused(harness: IdentityHarness) -> None:
    revoke = RevokeToken(
        harness.storage.sessions, harness.tokens, harness.clock, harness.audit, revocable=False
    )
    grant = await harness.sign_in()
    with pytest.raises(UnsupportedTokenType):
        await revoke(grant.access.value, client_id=None, origin=HOME)
    await revoke("a.b.c", client_id=None, origin=HOME)
    await revoke(grant.refresh.text, client_id=None, origin=HOME)
    with pytest.raises(InvalidGrant):
        await harness.refresh(grant.refresh.text)
