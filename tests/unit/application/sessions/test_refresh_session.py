import asyncio
from typing import Any

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import InvalidGrant, InvalidScope, InvalidToken
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.sessions.refresh_session import MAX_SUCCESSORS
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.scope import Scope
from tests.support.identity_harness import ELSEWHERE, HOME, IdentityHarness


@pytest.fixture
async def world() -> IdentityHarness:
    world = IdentityHarness(InMemoryStorage())
    await world.add_alice()
    return world


async def test_refresh_returns_new_tokens_of_the_same_session(world: IdentityHarness) -> None:
    first = await world.sign_in()
    world.clock.advance(days=1)
    second = await world.refresh(first.refresh.text)
    assert second.refresh != first.refresh
    caller = await world.caller(second)
    (session,) = await world.list_sessions(user=caller.id)
    assert caller.session == session.id
    assert session.last_used_at == world.clock.now()
    assert world.audit.events[-1] == (
        AuditEvent.REFRESHED, HOME, caller.id, session.id, "rotated",
    )  # fmt: skip


async def test_repeats_within_the_grace_period_get_the_same_successor(
    world: IdentityHarness,
) -> None:
    first = await world.sign_in()
    answers = await asyncio.gather(*(world.refresh(first.refresh.text) for _ in range(50)))
    world.clock.advance(seconds=9.9)
    answers.append(await world.refresh(first.refresh.text))
    assert len({answer.refresh for answer in answers}) == 1
    await world.refresh(answers[0].refresh.text)


async def test_late_repeat_within_the_grace_period_gets_the_newest_successor(
    world: IdentityHarness,
) -> None:
    """One tab is two refreshes ahead of another that lost its answer."""
    first = await world.sign_in()
    second = await world.refresh(first.refresh.text)
    world.clock.advance(seconds=1)
    third = await world.refresh(second.refresh.text)
    world.clock.advance(seconds=8)
    late = await world.refresh(first.refresh.text)
    assert late.refresh == (await world.refresh(second.refresh.text)).refresh == third.refresh
    world.clock.advance(minutes=15)
    await world.refresh(late.refresh.text)


async def test_repeat_reads_a_bounded_number_of_successors(world: IdentityHarness) -> None:
    """The session lives on: its newest token is good."""
    first = latest = await world.sign_in()
    for _ in range(MAX_SUCCESSORS):
        latest = await world.refresh(latest.refresh.text)
    assert (await world.refresh(first.refresh.text)).refresh == latest.refresh
    newest = await world.refresh(latest.refresh.text)
    with pytest.raises(InvalidGrant):
        await world.refresh(first.refresh.text)
    assert world.audit.events[-1][0] is AuditEvent.REFRESH_REFUSED
    await world.refresh(newest.refresh.text)


async def test_reuse_ends_the_whole_session_and_is_remembered(world: IdentityHarness) -> None:
    first = await world.sign_in()
    other = await world.sign_in()
    second = await world.refresh(first.refresh.text)
    caller = await world.caller(second)
    world.clock.advance(seconds=10)
    with pytest.raises(InvalidGrant):
        await world.refresh(first.refresh.text, origin=ELSEWHERE)
    assert world.audit.events[-3:] == [
        (AuditEvent.REUSE_SEEN, ELSEWHERE, caller.id, caller.session, ""),
        (
            AuditEvent.SESSION_ENDED, ELSEWHERE, caller.id, caller.session,
            "reuse of a refresh token",
        ),
        (AuditEvent.REFRESH_REFUSED, ELSEWHERE, caller.id, caller.session, "reused"),
    ]  # fmt: skip
    with pytest.raises(InvalidToken):
        await world.caller(second)
    for token in (first, second):
        with pytest.raises(InvalidGrant):
            await world.refresh(token.refresh.text)
    await world.refresh(other.refresh.text)


@pytest.mark.parametrize(
    "wrongly", [{"client_id": "other"}, {"scope": frozenset({Scope.ACCOUNT})}], ids=str
)
async def test_reuse_is_detected_when_the_request_has_other_errors(
    world: IdentityHarness, wrongly: Any
) -> None:
    first = await world.sign_in(scope=frozenset({Scope.ORDERS_READ}))
    second = await world.refresh(first.refresh.text)
    world.clock.advance(seconds=9)
    with pytest.raises(InvalidGrant):
        await world.refresh(first.refresh.text, **wrongly)
    await world.caller(second)
    world.clock.advance(seconds=1)
    with pytest.raises(InvalidGrant):
        await world.refresh(first.refresh.text, **wrongly)
    with pytest.raises(InvalidToken):
        await world.caller(second)


async def test_idle_token_expires_and_a_used_one_is_extended(world: IdentityHarness) -> None:
    grant = await world.sign_in()
    for _ in range(2):
        world.clock.advance(days=9.9)
        grant = await world.refresh(grant.refresh.text)
    world.clock.advance(days=10)
    with pytest.raises(InvalidGrant):
        await world.refresh(grant.refresh.text)


async def test_session_is_not_renewed_after_its_lifetime(world: IdentityHarness) -> None:
    grant = await world.sign_in()
    for _ in range(3):
        world.clock.advance(days=9)
        grant = await world.refresh(grant.refresh.text)
    world.clock.advance(days=3)
    with pytest.raises(InvalidGrant):
        await world.refresh(grant.refresh.text)
    with pytest.raises(InvalidToken):
        await world.caller(grant)


async def test_scope_is_narrowed_for_one_access_token(world: IdentityHarness) -> None:
    read, both = frozenset({Scope.ORDERS_READ}), frozenset({Scope.ORDERS_READ, Scope.ACCOUNT})
    grant = await world.sign_in(scope=both)
    narrow = await world.refresh(grant.refresh.text, scope=read)
    assert (await world.caller(narrow)).scope == narrow.scope == read
    wide = await world.refresh(narrow.refresh.text)
    assert (await world.caller(wide)).scope == wide.scope == both


async def test_ungranted_scope_does_not_use_the_token(world: IdentityHarness) -> None:
    grant = await world.sign_in(scope=frozenset({Scope.ORDERS_READ}))
    with pytest.raises(InvalidScope):
        await world.refresh(grant.refresh.text, scope=frozenset({Scope.ACCOUNT}))
    world.clock.advance(minutes=1)
    await world.refresh(grant.refresh.text)


async def test_another_client_is_refused_and_does_not_use_the_token(world: IdentityHarness) -> None:
    grant = await world.sign_in(client_id="shop")
    with pytest.raises(InvalidGrant):
        await world.refresh(grant.refresh.text, client_id="other")
    assert world.audit.events[-1][0] is AuditEvent.REFRESH_REFUSED
    world.clock.advance(minutes=1)
    await world.refresh(grant.refresh.text, client_id="shop")


@pytest.mark.parametrize("token", ["", "x", RefreshToken(bytes(32)).text, "\ud800"])
async def test_any_other_text_is_rejected(world: IdentityHarness, token: str) -> None:
    with pytest.raises(InvalidGrant):
        await world.refresh(token)
    assert world.audit.events == [(AuditEvent.REFRESH_REFUSED, HOME, None, None, "")]


async def test_access_token_does_not_outlive_its_session(world: IdentityHarness) -> None:
    grant = await world.sign_in()
    for _ in range(3):
        world.clock.advance(days=9)
        grant = await world.refresh(grant.refresh.text)
    world.clock.advance(days=3, seconds=-60)
    assert (await world.refresh(grant.refresh.text)).access.expires_in == 60
