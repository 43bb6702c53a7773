from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.tokens.keys.jwk import MAX_KEYS, Algorithm
from ordergate.adapters.tokens.keys.key_life import PUBLISH_SECONDS, RingKey, RingState, Status
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import SigningKeyError
from tests.support.doubles import SettableClock

LIFE = timedelta(seconds=905)
OLD, NEW = SigningKey.new("EdDSA"), SigningKey.new("ES256")


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def lives(state: RingState) -> dict[str, str]:
    return {key.kid: str(key.status) for key in state.keys}


@pytest.fixture
def published(clock: SettableClock) -> RingState:
    """OLD signs, NEW was published just now."""
    return RingState().with_new(OLD, clock.now()).with_new(NEW, clock.now())


@pytest.fixture
def promoted(published: RingState, clock: SettableClock) -> RingState:
    """NEW signs since just now, OLD verifies."""
    return published.promoted(NEW.kid, clock.now(), LIFE, early=True)


def test_first_key_signs_immediately_and_the_next_is_published(published: RingState) -> None:
    assert lives(published) == {OLD.kid: "signing", NEW.kid: "published"}
    assert published.signing().key is OLD


def test_key_signs_when_it_was_published_long_enough(
    published: RingState, clock: SettableClock
) -> None:
    clock.advance(seconds=PUBLISH_SECONDS - 1)
    with pytest.raises(SigningKeyError, match="before 2026-05-01T12:10:00Z; wait, or"):
        published.promoted(NEW.kid, clock.now(), LIFE)
    clock.advance(seconds=1)
    after = published.promoted(NEW.kid, clock.now(), LIFE)
    assert lives(after) == {OLD.kid: "verifying", NEW.kid: "signing"}
    assert {key.since for key in after.keys} == {clock.now()}


def test_key_is_published_for_twice_its_cache_time() -> None:
    assert PUBLISH_SECONDS == 600


def test_key_signs_in_one_period_alone(promoted: RingState, clock: SettableClock) -> None:
    with pytest.raises(SigningKeyError, match="signs already"):
        promoted.promoted(NEW.kid, clock.now(), LIFE, early=True)
    with pytest.raises(SigningKeyError, match="has signed before"):
        promoted.promoted(OLD.kid, clock.now(), LIFE, early=True)


def test_key_is_removed_when_all_its_tokens_have_expired(
    promoted: RingState, clock: SettableClock
) -> None:
    clock.advance(seconds=904)
    with pytest.raises(SigningKeyError, match="are good until 2026-05-01T12:15:05Z; wait, or"):
        promoted.retired(OLD.kid, clock.now(), LIFE)
    clock.advance(seconds=1)
    assert lives(promoted.retired(OLD.kid, clock.now(), LIFE)) == {NEW.kid: "signing"}


def test_stolen_key_is_removed_immediately(promoted: RingState, clock: SettableClock) -> None:
    after = promoted.retired(OLD.kid, clock.now(), LIFE, early=True)
    assert lives(after) == {NEW.kid: "signing"}


def test_unused_key_is_removed_at_any_time(published: RingState, clock: SettableClock) -> None:
    assert lives(published.retired(NEW.kid, clock.now(), LIFE)) == {OLD.kid: "signing"}


@pytest.mark.parametrize("early", [False, True])
def test_signing_key_cannot_be_removed(
    promoted: RingState, clock: SettableClock, early: bool
) -> None:
    with pytest.raises(SigningKeyError, match="promote another key first"):
        promoted.retired(NEW.kid, clock.now(), LIFE, early=early)


def test_missing_key_is_reported(published: RingState, clock: SettableClock) -> None:
    for step in (published.promoted, published.retired):
        with pytest.raises(SigningKeyError, match="there is no key x; `ordergate keys list`"):
            step("x", clock.now(), LIFE)


def test_key_is_added_once(published: RingState, clock: SettableClock) -> None:
    with pytest.raises(SigningKeyError, match="is there already"):
        published.with_new(NEW, clock.now())


def test_number_of_keys_is_limited(clock: SettableClock) -> None:
    state = RingState()
    for _ in range(MAX_KEYS):
        state = state.with_new(SigningKey.new("EdDSA"), clock.now())
    with pytest.raises(SigningKeyError, match=f"there are {MAX_KEYS} keys; retire one first"):
        state.with_new(NEW, clock.now())


def test_contradictory_state_is_refused() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    signing, waiting = RingKey(OLD, Status.SIGNING, now), RingKey(NEW, Status.PUBLISHED, now)
    for keys in ((waiting,), (signing, RingKey(NEW, Status.SIGNING, now)), (signing, signing)):
        with pytest.raises(ValueError, match=r"signs|twice"):
            RingState(keys)


def test_rotation_takes_one_step_at_a_time(clock: SettableClock) -> None:
    def rotate(state: RingState) -> RingState:
        return state.rotated(clock.now(), LIFE, SigningKey.new)

    first = rotate(RingState())
    assert [key.status for key in first.keys] == [Status.SIGNING]
    second = rotate(first)
    assert [key.status for key in second.keys] == [Status.SIGNING, Status.PUBLISHED]
    assert rotate(second) == second
    clock.advance(seconds=PUBLISH_SECONDS)
    third = rotate(second)
    assert [key.status for key in third.keys] == [Status.VERIFYING, Status.SIGNING]
    clock.advance(seconds=905)
    fourth = rotate(third)
    assert [key.status for key in fourth.keys] == [Status.SIGNING, Status.PUBLISHED]
    assert fourth.signing() == third.signing()


def test_rotation_keeps_the_algorithm(clock: SettableClock) -> None:
    made: list[Algorithm] = []

    def make(algorithm: Algorithm) -> SigningKey:
        made.append(algorithm)
        return SigningKey.new(algorithm)

    RingState().with_new(NEW, clock.now()).rotated(clock.now(), LIFE, make)
    assert made == ["ES256"]


def test_immediate_rotation_keeps_tokens_valid(published: RingState, clock: SettableClock) -> None:
    after = published.rotated(clock.now(), LIFE, SigningKey.new, early=True)
    assert lives(after) == {OLD.kid: "verifying", NEW.kid: "signing"}
    again = after.rotated(clock.now(), LIFE, SigningKey.new, early=True)
    assert list(lives(again).values()) == ["verifying", "verifying", "signing"]


@given(st.lists(st.tuples(st.sampled_from("npraN"), st.integers(0, 5), st.integers(0, 1000))))
def test_any_sequence_of_changes_keeps_one_signing_key_and_valid_tokens(
    steps: list[tuple[str, int, int]],
) -> None:
    """Only `early` retirement, which is not among the steps, may end a token."""
    clock = SettableClock()
    state = RingState().with_new(SigningKey.new("EdDSA"), clock.now())
    signed: dict[str, datetime] = {}
    for step, which, seconds in steps:
        signed[state.signing().kid] = clock.now()
        clock.advance(seconds=seconds)
        signed[state.signing().kid] = clock.now()
        kid = state.keys[which % len(state.keys)].kid
        try:
            match step:
                case "n":
                    state = state.with_new(SigningKey.new("EdDSA"), clock.now())
                case "p":
                    state = state.promoted(kid, clock.now(), LIFE, early=bool(which % 2))
                case "r":
                    state = state.retired(kid, clock.now(), LIFE)
                case _:
                    state = state.rotated(clock.now(), LIFE, SigningKey.new, early=step == "N")
        except SigningKeyError:
            pass
        there = {key.kid for key in state.keys}
        good = {kid for kid, last in signed.items() if clock.now() < last + LIFE}
        assert good <= there
        assert [key.status for key in state.keys].count(Status.SIGNING) == 1
