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


def test_the_first_key_signs_at_once_and_the_next_is_published(published: RingState) -> None:
    assert lives(published) == {OLD.kid: "signing", NEW.kid: "published"}
    assert published.signing().key is OLD


def test_a_key_signs_once_it_was_published_long_enough(
    published: RingState, clock: SettableClock
) -> None:
    clock.advance(seconds=PUBLISH_SECONDS - 1)
    with pytest.raises(SigningKeyError, match="before 2026-05-01T12:10:00Z; wait, or"):
        published.promoted(NEW.kid, clock.now(), LIFE)
    clock.advance(seconds=1)
    after = published.promoted(NEW.kid, clock.now(), LIFE)
    assert lives(after) == {OLD.kid: "verifying", NEW.kid: "signing"}
    assert {key.since for key in after.keys} == {clock.now()}


def test_a_key_is_published_for_twice_as_long_as_it_may_be_kept() -> None:
    assert PUBLISH_SECONDS == 600


def test_a_key_signs_once_in_its_life(promoted: RingState, clock: SettableClock) -> None:
    with pytest.raises(SigningKeyError, match="signs already"):
        promoted.promoted(NEW.kid, clock.now(), LIFE, early=True)
    with pytest.raises(SigningKeyError, match="has signed before"):
        promoted.promoted(OLD.kid, clock.now(), LIFE, early=True)


def test_a_key_goes_when_all_its_tokens_have_expired(
    promoted: RingState, clock: SettableClock
) -> None:
    clock.advance(seconds=904)
    with pytest.raises(SigningKeyError, match="are good until 2026-05-01T12:15:05Z; wait, or"):
        promoted.retired(OLD.kid, clock.now(), LIFE)
    clock.advance(seconds=1)
    assert lives(promoted.retired(OLD.kid, clock.now(), LIFE)) == {NEW.kid: "signing"}


def test_a_stolen_key_goes_at_once(promoted: RingState, clock: SettableClock) -> None:
    after = promoted.retired(OLD.kid, clock.now(), LIFE, early=True)
    assert lives(after) == {NEW.kid: "signing"}


def test_a_key_that_never_signed_goes_at_any_time(
    published: RingState, clock: SettableClock
) -> None:
    assert lives(published.retired(NEW.kid, clock.now(), LIFE)) == {OLD.kid: "signing"}


@pytest.mark.parametrize("early", [False, True])
def test_the_key_that_signs_cannot_go(
    promoted: RingState, clock: SettableClock, early: bool
) -> None:
    with pytest.raises(SigningKeyError, match="promote another key first"):
        promoted.retired(NEW.kid, clock.now(), LIFE, early=early)


def test_a_key_that_is_not_there_is_told(published: RingState, clock: SettableClock) -> None:
    for step in (published.promoted, published.retired):
        with pytest.raises(SigningKeyError, match="there is no key x; `ordergate keys list`"):
            step("x", clock.now(), LIFE)


def test_a_key_is_there_once(published: RingState, clock: SettableClock) -> None:
    with pytest.raises(SigningKeyError, match="is there already"):
        published.with_new(NEW, clock.now())


def test_keys_have_a_bound(clock: SettableClock) -> None:
    state = RingState()
    for _ in range(MAX_KEYS):
        state = state.with_new(SigningKey.new("EdDSA"), clock.now())
    with pytest.raises(SigningKeyError, match=f"there are {MAX_KEYS} keys; retire one first"):
        state.with_new(NEW, clock.now())


def test_what_contradicts_itself_is_no_state() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    signing, waiting = RingKey(OLD, Status.SIGNING, now), RingKey(NEW, Status.PUBLISHED, now)
    for keys in ((waiting,), (signing, RingKey(NEW, Status.SIGNING, now)), (signing, signing)):
        with pytest.raises(ValueError, match=r"signs|twice"):
            RingState(keys)


def test_a_rotation_goes_step_by_step(clock: SettableClock) -> None:
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


def test_a_rotation_keeps_the_algorithm(clock: SettableClock) -> None:
    made: list[Algorithm] = []

    def make(algorithm: Algorithm) -> SigningKey:
        made.append(algorithm)
        return SigningKey.new(algorithm)

    RingState().with_new(NEW, clock.now()).rotated(clock.now(), LIFE, make)
    assert made == ["ES256"]


def test_a_rotation_at_once_ends_no_token(published: RingState, clock: SettableClock) -> None:
    after = published.rotated(clock.now(), LIFE, SigningKey.new, early=True)
    assert lives(after) == {OLD.kid: "verifying", NEW.kid: "signing"}
    again = after.rotated(clock.now(), LIFE, SigningKey.new, early=True)
    assert list(lives(again).values()) == ["verifying", "verifying", "signing"]


@given(st.lists(st.tuples(st.sampled_from("npraN"), st.integers(0, 5), st.integers(0, 1000))))
def test_whatever_is_done_one_key_signs_and_good_tokens_stay_good(
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
