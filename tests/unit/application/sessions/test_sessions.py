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
from tests.support.identity_harness import ELSEWHERE, HOME, IdentityHarness


@pytest.fixture
async def world() -> IdentityHarness:
    world = IdentityHarness(InMemoryStorage())
    await world.add_alice()
    return world


async def test_sessions_are_listed_the_latest_used_first(world: IdentityHarness) -> None:
    first = await world.sign_in(origin=ELSEWHERE)
    world.clock.advance(minutes=1)
    second = await world.sign_in(client_id="app")
    caller = await world.caller(second)
    listed = await world.list_sessions(user=caller.id)
    assert [(s.client_id, s.address) for s in listed] == [
        ("app", HOME.address),
        ("shop", ELSEWHERE.address),
    ]
    world.clock.advance(minutes=1)
    await world.refresh(first.refresh.text)
    assert [s.client_id for s in await world.list_sessions(user=caller.id)] == ["shop", "app"]
    assert not await world.list_sessions(user=UserId(99))


async def test_ended_session_is_neither_renewed_nor_accepted(
    world: IdentityHarness,
) -> None:
    mine, other = await world.sign_in(), await world.sign_in()
    caller = await world.caller(mine)
    assert caller.session is not None
    await world.end_session(caller.session, user=caller.id, origin=ELSEWHERE)
    with pytest.raises(InvalidGrant):
        await world.refresh(mine.refresh.text)
    with pytest.raises(InvalidToken):
        await world.caller(mine)
    await world.caller(other)
    ending = (AuditEvent.SESSION_ENDED, ELSEWHERE, caller.id, caller.session, "signed out")
    assert ending in world.audit.events
    with pytest.raises(SessionNotFound):
        await world.end_session(caller.session, user=caller.id, origin=HOME)


async def test_session_of_another_user_is_not_found(world: IdentityHarness) -> None:
    grant = await world.sign_in()
    session = (await world.caller(grant)).session
    assert session is not None
    for wanted, user in ((session, UserId(99)), (SessionId("0" * 32), UserId(1))):
        with pytest.raises(SessionNotFound):
            await world.end_session(wanted, user=user, origin=HOME)
    await world.caller(grant)


async def test_end_all_sessions_ends_every_session(world: IdentityHarness) -> None:
    grants = [await world.sign_in() for _ in range(3)]
    caller = await world.caller(grants[0])
    await world.end_all_sessions(user=caller.id, origin=HOME)
    for grant in grants:
        with pytest.raises(InvalidToken):
            await world.caller(grant)
    assert [event for event, *_ in world.audit.events].count(AuditEvent.SESSION_ENDED) == 3


async def test_sign_in_beyond_the_limit_ends_the_session_that_expires_first() -> None:
    world = IdentityHarness(InMemoryStorage(), most_sessions=2)
    await world.add_alice()
    first = await world.sign_in()
    caller = await world.caller(first)
    world.clock.advance(minutes=1)
    second = await world.sign_in()
    world.clock.advance(minutes=1)
    third = await world.sign_in(origin=ELSEWHERE)
    with pytest.raises(InvalidToken):
        await world.caller(first)
    for grant in (second, third):
        await world.caller(grant)
    ending = (
        AuditEvent.SESSION_ENDED, ELSEWHERE, caller.id, caller.session, "too many sessions"
    )  # fmt: skip
    assert ending in world.audit.events


@pytest.mark.parametrize("kind", ["refresh", "access"])
async def test_token_that_is_revoked_ends_its_session(world: IdentityHarness, kind: str) -> None:
    grant = await world.sign_in()
    session = (await world.caller(grant)).session
    assert session is not None
    token = grant.refresh.text if kind == "refresh" else grant.access.value
    with pytest.raises(InvalidGrant):
        await world.revoke_token(token, client_id="other", origin=HOME)
    await world.caller(grant)
    for client_id in ("shop", None):
        await world.revoke_token(token, client_id=client_id, origin=HOME)
    with pytest.raises(InvalidToken):
        await world.caller(grant)
    assert isinstance(world.storage, InMemoryStorage)
    assert world.storage.tables.endings[session][1] is SessionEndReason.REVOKED


@pytest.mark.parametrize("token", ["", "x", "ogr_" + "A" * 43, "a.b.c"])
async def test_unknown_token_is_ignored_by_revocation(world: IdentityHarness, token: str) -> None:
    await world.revoke_token(token, client_id=None, origin=HOME)
    assert not world.audit.events


async def test_token_without_a_session_ends_no_session(world: IdentityHarness) -> None:
    token = world.tokens.issue(Caller(UserId(1), "shop")).value
    await world.revoke_token(token, client_id=None, origin=HOME)
    assert not world.audit.events


async def test_unrevocable_token_is_refused(world: IdentityHarness) -> None:
    revoke = RevokeToken(
        world.storage.sessions, world.tokens, world.clock, world.audit, revocable=False
    )
    grant = await world.sign_in()
    with pytest.raises(UnsupportedTokenType):
        await revoke(grant.access.value, client_id=None, origin=HOME)
    await revoke("a.b.c", client_id=None, origin=HOME)
    await revoke(grant.refresh.text, client_id=None, origin=HOME)
    with pytest.raises(InvalidGrant):
        await world.refresh(grant.refresh.text)
