import asyncio
from typing import Any

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import InvalidGrant, InvalidScope, InvalidToken
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.sessions.refresh_session import MAX_SUCCESSORS
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.scope import Scope
from tests.support.identity.identity_harness import ELSEWHERE, HOME, IdentityHarness


@pytest.fixture
async def harness() -> IdentityHarness:
    harness = IdentityHarness(InMemoryStorage())
    await harness.add_alice()
    return harness


async def test_refresh_returns_new_tokens_of_the_same_session(harness: IdentityHarness) -> None:
    first = await harness.sign_in()
    harness.clock.advance(days=1)
    second = await harness.refresh(first.refresh.text)
    assert second.refresh != first.refresh
    caller = await harness.caller(second)
    (session,) = await harness.list_sessions(user=caller.id)
    assert caller.session == session.id
    assert session.last_used_at == harness.clock.now()
    assert harness.audit.events[-1] == (
        AuditEvent.REFRESHED, HOME, caller.id, session.id, "rotated",
    )  # fmt: skip


async def test_repeats_within_the_grace_period_get_the_same_successor(
    harness: IdentityHarness,
) -> None:
    first = await harness.sign_in()
    answers = await asyncio.gather(*(harness.refresh(first.refresh.text) for _ in range(50)))
    harness.clock.advance(seconds=9.9)
    answers.append(await harness.refresh(first.refresh.text))
    assert len({answer.refresh for answer in answers}) == 1
    await harness.refresh(answers[0].refresh.text)


async def test_late_repeat_within_the_grace_period_gets_the_newest_successor(
    harness: IdentityHarness,
) -> None:
    """One tab is two refreshes ahead of another that lost its answer."""
    first = await harness.sign_in()
    second = await harness.refresh(first.refresh.text)
    harness.clock.advance(seconds=1)
    third = await harness.refresh(second.refresh.text)
    harness.clock.advance(seconds=8)
    late = await harness.refresh(first.refresh.text)
    assert late.refresh == (await harness.refresh(second.refresh.text)).refresh == third.refresh
    harness.clock.advance(minutes=15)
    await harness.refresh(late.refresh.text)


async def test_repeat_reads_a_bounded_number_of_successors(harness: IdentityHarness) -> None:
    """The session lives on: its newest token is good."""
    first = latest = await harness.sign_in()
    for _ in range(MAX_SUCCESSORS):
        latest = await harness.refresh(latest.refresh.text)
    assert (await harness.refresh(first.refresh.text)).refresh == latest.refresh
    newest = await harness.refresh(latest.refresh.text)
    with pytest.raises(InvalidGrant):
        await harness.refresh(first.refresh.text)
    assert harness.audit.events[-1][0] is AuditEvent.REFRESH_REFUSED
    await harness.refresh(newest.refresh.text)


async def test_reuse_ends_the_whole_session_and_is_remembered(harness: IdentityHarness) -> None:
    first = await harness.sign_in()
    other = await harness.sign_in()
    second = await harness.refresh(first.refresh.text)
    caller = await harness.caller(second)
    harness.clock.advance(seconds=10)
    with pytest.raises(InvalidGrant):
        await harness.refresh(first.refresh.text, origin=ELSEWHERE)
    assert harness.audit.events[-3:] == [
        (AuditEvent.REUSE_SEEN, ELSEWHERE, caller.id, caller.session, ""),
        (
            AuditEvent.SESSION_ENDED, ELSEWHERE, caller.id, caller.session,
            "reuse of a refresh token",
        ),
        (AuditEvent.REFRESH_REFUSED, ELSEWHERE, caller.id, caller.session, "reused"),
    ]  # fmt: skip
    with pytest.raises(InvalidToken):
        await harness.caller(second)
    for token in (first, second):
        with pytest.raises(InvalidGrant):
            await harness.refresh(token.refresh.text)
    await harness.refresh(other.refresh.text)


@pytest.mark.parametrize(
    "wrongly", [{"client_id": "other"}, {"scope": frozenset({Scope.ACCOUNT})}], ids=str
)
async def test_reuse_is_detected_when_the_request_has_other_errors(
    harness: IdentityHarness, wrongly: Any
) -> None:
    first = await harness.sign_in(scope=frozenset({Scope.ORDERS_READ}))
    second = await harness.refresh(first.refresh.text)
    harness.clock.advance(seconds=9)
    with pytest.raises(InvalidGrant):
        await harness.refresh(first.refresh.text, **wrongly)
    await harness.caller(second)
    harness.clock.advance(seconds=1)
    with pytest.raises(InvalidGrant):
        await harness.refresh(first.refresh.text, **wrongly)
    with pytest.raises(InvalidToken):
        await harness.caller(second)


async def test_idle_token_expires_and_a_used_one_is_extended(harness: IdentityHarness) -> None:
    grant = await harness.sign_in()
    for _ in range(2):
        harness.clock.advance(days=9.9)
        grant = await harness.refresh(grant.refresh.text)
    harness.clock.advance(days=10)
    with pytest.raises(InvalidGrant):
        await harness.refresh(grant.refresh.text)


async def test_session_is_not_renewed_after_its_lifetime(harness: IdentityHarness) -> None:
    grant = await harness.sign_in()
    for _ in range(3):
        harness.clock.advance(days=9)
        grant = await harness.refresh(grant.refresh.text)
    harness.clock.advance(days=3)
    with pytest.raises(InvalidGrant):
        await harness.refresh(grant.refresh.text)
    with pytest.raises(InvalidToken):
        await harness.caller(grant)


async def test_scope_is_narrowed_for_one_access_token(harness: IdentityHarness) -> None:
    read, both = frozenset({Scope.ORDERS_READ}), frozenset({Scope.ORDERS_READ, Scope.ACCOUNT})
    grant = await harness.sign_in(scope=both)
    narrow = await harness.refresh(grant.refresh.text, scope=read)
    assert (await harness.caller(narrow)).scope == narrow.scope == read
    wide = await harness.refresh(narrow.refresh.text)
    assert (await harness.caller(wide)).scope == wide.scope == both


async def test_ungranted_scope_does_not_use_the_token(harness: IdentityHarness) -> None:
    grant = await harness.sign_in(scope=frozenset({Scope.ORDERS_READ}))
    with pytest.raises(InvalidScope):
        await harness.refresh(grant.refresh.text, scope=frozenset({Scope.ACCOUNT}))
    harness.clock.advance(minutes=1)
    await harness.refresh(grant.refresh.text)


async def test_another_client_is_refused_and_does_not_use_the_token(
    harness: IdentityHarness,
) -> None:
    grant = await harness.sign_in(client_id="shop")
    with pytest.raises(InvalidGrant):
        await harness.refresh(grant.refresh.text, client_id="other")
    assert harness.audit.events[-1][0] is AuditEvent.REFRESH_REFUSED
    harness.clock.advance(minutes=1)
    await harness.refresh(grant.refresh.text, client_id="shop")


@pytest.mark.parametrize("token", ["", "x", RefreshToken(bytes(32)).text, "\ud800"])
async def test_any_other_text_is_rejected(harness: IdentityHarness, token: str) -> None:
    with pytest.raises(InvalidGrant):
        await harness.refresh(token)
    assert harness.audit.events == [(AuditEvent.REFRESH_REFUSED, HOME, None, None, "")]


async def test_access_token_does_not_outlive_its_session(harness: IdentityHarness) -> None:
    grant = await harness.sign_in()
    for _ in range(3):
        harness.clock.advance(days=9)
        grant = await harness.refresh(grant.refresh.text)
    harness.clock.advance(days=3, seconds=-60)
    assert (await harness.refresh(grant.refresh.text)).access.expires_in == 60
