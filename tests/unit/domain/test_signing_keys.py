from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.domain.errors import (
    InvalidKeyChange,
    KeyAlreadyPresent,
    KeyChangeTooEarly,
    UnknownKey,
)
from ordergate.domain.signing_keys import (
    MAX_KEYS,
    KeyAlgorithm,
    KeyId,
    KeyRecord,
    KeyRing,
    KeySchedule,
    KeyStatus,
    NewKey,
)
from tests.support.doubles import SettableClock

SCHEDULE = KeySchedule(cache_time=timedelta(seconds=300), token_time=timedelta(seconds=905))
OLD, NEW = NewKey(KeyId("old"), "EdDSA"), NewKey(KeyId("new"), "ES256")
_ids = count()


def make(algorithm: KeyAlgorithm) -> NewKey:
    return NewKey(KeyId(f"key {next(_ids)}"), algorithm)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def lives(state: KeyRing) -> dict[str, str]:
    return {key.id: str(key.status) for key in state.keys}


@pytest.fixture
def published(clock: SettableClock) -> KeyRing:
    """OLD signs, NEW was published just now."""
    return KeyRing().publish(OLD, clock.now()).publish(NEW, clock.now())


@pytest.fixture
def promoted(published: KeyRing, clock: SettableClock) -> KeyRing:
    """NEW signs since just now, OLD verifies."""
    return published.promote(NEW.id, clock.now(), SCHEDULE, early=True)


def test_first_key_signs_immediately_and_the_next_is_published(published: KeyRing) -> None:
    assert lives(published) == {OLD.id: "signing", NEW.id: "published"}
    assert published.signing().id == OLD.id


def test_key_signs_when_it_was_published_long_enough(
    published: KeyRing, clock: SettableClock
) -> None:
    clock.advance(seconds=599)
    with pytest.raises(KeyChangeTooEarly, match="know new before 2026-05-01T12:10:00Z"):
        published.promote(NEW.id, clock.now(), SCHEDULE)
    clock.advance(seconds=1)
    after = published.promote(NEW.id, clock.now(), SCHEDULE)
    assert lives(after) == {OLD.id: "verifying", NEW.id: "signing"}
    assert {key.since for key in after.keys} == {clock.now()}


def test_key_signs_in_one_period_alone(promoted: KeyRing, clock: SettableClock) -> None:
    with pytest.raises(InvalidKeyChange, match="signs already"):
        promoted.promote(NEW.id, clock.now(), SCHEDULE, early=True)
    with pytest.raises(InvalidKeyChange, match="has signed before"):
        promoted.promote(OLD.id, clock.now(), SCHEDULE, early=True)


def test_key_is_removed_when_all_its_tokens_have_expired(
    promoted: KeyRing, clock: SettableClock
) -> None:
    clock.advance(seconds=904)
    with pytest.raises(KeyChangeTooEarly, match="are valid until 2026-05-01T12:15:05Z"):
        promoted.retire(OLD.id, clock.now(), SCHEDULE)
    clock.advance(seconds=1)
    assert lives(promoted.retire(OLD.id, clock.now(), SCHEDULE)) == {NEW.id: "signing"}


def test_stolen_key_is_removed_immediately(promoted: KeyRing, clock: SettableClock) -> None:
    after = promoted.retire(OLD.id, clock.now(), SCHEDULE, early=True)
    assert lives(after) == {NEW.id: "signing"}


def test_unused_key_is_removed_at_any_time(published: KeyRing, clock: SettableClock) -> None:
    assert lives(published.retire(NEW.id, clock.now(), SCHEDULE)) == {OLD.id: "signing"}


@pytest.mark.parametrize("early", [False, True])
def test_signing_key_cannot_be_removed(
    promoted: KeyRing, clock: SettableClock, early: bool
) -> None:
    with pytest.raises(InvalidKeyChange, match="promote another key first"):
        promoted.retire(NEW.id, clock.now(), SCHEDULE, early=early)


def test_missing_key_is_reported(published: KeyRing, clock: SettableClock) -> None:
    for step in (published.promote, published.retire):
        with pytest.raises(UnknownKey, match="there is no key x"):
            step(KeyId("x"), clock.now(), SCHEDULE)


def test_key_is_added_once(published: KeyRing, clock: SettableClock) -> None:
    with pytest.raises(KeyAlreadyPresent, match="new is there already"):
        published.publish(NEW, clock.now())


def test_number_of_keys_is_limited(clock: SettableClock) -> None:
    state = KeyRing()
    for _ in range(MAX_KEYS):
        state = state.publish(make("EdDSA"), clock.now())
    with pytest.raises(InvalidKeyChange, match=f"there are {MAX_KEYS} keys; retire one first"):
        state.publish(NEW, clock.now())


def test_contradictory_state_is_refused() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    signing = KeyRecord(OLD.id, OLD.algorithm, KeyStatus.SIGNING, now)
    waiting = KeyRecord(NEW.id, NEW.algorithm, KeyStatus.PUBLISHED, now)
    for keys in ((waiting,), (signing, replace(waiting, status=KeyStatus.SIGNING)), (signing,) * 2):
        with pytest.raises(ValueError, match=r"signs|twice"):
            KeyRing(keys)


def test_rotation_takes_one_step_at_a_time(clock: SettableClock) -> None:
    def rotate(state: KeyRing) -> KeyRing:
        return state.rotate(clock.now(), SCHEDULE, make)

    first = rotate(KeyRing())
    assert [key.status for key in first.keys] == [KeyStatus.SIGNING]
    second = rotate(first)
    assert [key.status for key in second.keys] == [KeyStatus.SIGNING, KeyStatus.PUBLISHED]
    assert rotate(second) == second
    clock.advance(seconds=600)
    third = rotate(second)
    assert [key.status for key in third.keys] == [KeyStatus.VERIFYING, KeyStatus.SIGNING]
    clock.advance(seconds=905)
    fourth = rotate(third)
    assert [key.status for key in fourth.keys] == [KeyStatus.SIGNING, KeyStatus.PUBLISHED]
    assert fourth.signing() == third.signing()


@pytest.mark.parametrize("first", [OLD, NEW])
def test_rotation_keeps_the_algorithm(clock: SettableClock, first: NewKey) -> None:
    after = KeyRing().publish(first, clock.now()).rotate(clock.now(), SCHEDULE, make)
    assert [key.algorithm for key in after.keys] == [first.algorithm] * 2


def test_rotation_begins_with_es256(clock: SettableClock) -> None:
    (key,) = KeyRing().rotate(clock.now(), SCHEDULE, make).keys
    assert key.algorithm == "ES256"


def test_immediate_rotation_keeps_tokens_valid(published: KeyRing, clock: SettableClock) -> None:
    after = published.rotate(clock.now(), SCHEDULE, make, early=True)
    assert lives(after) == {OLD.id: "verifying", NEW.id: "signing"}
    again = after.rotate(clock.now(), SCHEDULE, make, early=True)
    assert list(lives(again).values()) == ["verifying", "verifying", "signing"]


@given(st.lists(st.tuples(st.sampled_from("npraN"), st.integers(0, 5), st.integers(0, 1000))))
def test_any_sequence_of_changes_keeps_one_signing_key_and_valid_tokens(
    steps: list[tuple[str, int, int]],
) -> None:
    """Only `early` retirement, which is no scheduled step, may end a token."""
    clock = SettableClock()
    state = KeyRing().publish(make("EdDSA"), clock.now())
    signed: dict[str, datetime] = {}
    for step, which, seconds in steps:
        signed[state.signing().id] = clock.now()
        clock.advance(seconds=seconds)
        signed[state.signing().id] = clock.now()
        kid = state.keys[which % len(state.keys)].id
        try:
            match step:
                case "n":
                    state = state.publish(make("EdDSA"), clock.now())
                case "p":
                    state = state.promote(kid, clock.now(), SCHEDULE, early=bool(which % 2))
                case "r":
                    state = state.retire(kid, clock.now(), SCHEDULE)
                case _:
                    state = state.rotate(clock.now(), SCHEDULE, make, early=step == "N")
        except InvalidKeyChange:
            pass
        there = {key.id for key in state.keys}
        good = {kid for kid, last in signed.items() if clock.now() < last + SCHEDULE.token_time}
        assert good <= there
        assert [key.status for key in state.keys].count(KeyStatus.SIGNING) == 1


def test_ring_lists_the_keys_that_have_changed(
    published: KeyRing, promoted: KeyRing, clock: SettableClock
) -> None:
    old, new = promoted.keys
    assert promoted.find_changes(published) == [old, new]
    assert promoted.find_changes(promoted) == []
    retired = promoted.retire(OLD.id, clock.now(), SCHEDULE, early=True)
    assert retired.find_changes(promoted) == [replace(old, status=KeyStatus.REMOVED)]


def test_key_that_the_settings_hold_waits_for_nothing() -> None:
    assert SCHEDULE.due(KeyRecord(OLD.id, "HS256", KeyStatus.SIGNING, None)) is None
