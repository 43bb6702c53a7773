from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ordergate.application.ports.orders import Position
from ordergate.domain.order import OrderStatus
from ordergate.domain.user import MAX_ID, UserId
from ordergate.entrypoints.http.orders.cursor import INVALID_CURSOR, Cursors, OrderFilters
from ordergate.entrypoints.http.problems.problem import ProblemError

CURSORS = Cursors(b"the secret of a storage's cursor")
ALICES = OrderFilters(UserId(1))
WHERE = Position(datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC), 7)
times = st.datetimes(timezones=st.just(UTC))
lists = st.builds(
    OrderFilters,
    st.integers(1, MAX_ID).map(UserId),
    st.none() | st.sampled_from(OrderStatus),
    st.none() | times,
    st.none() | times,
)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def refused(cursor: str, of: OrderFilters, cursors: Cursors = CURSORS) -> bool:
    with pytest.raises(ProblemError) as error:
        cursors.decode(cursor, of)
    return error.value.problem == INVALID_CURSOR


@given(st.builds(Position, times, st.integers(1, MAX_ID)), lists)
def test_any_position_is_read_back_for_its_list(position: Position, of: OrderFilters) -> None:
    cursor = CURSORS.encode(position, of)
    assert len(cursor) == 44
    assert CURSORS.decode(cursor, of) == position


@given(lists, lists)
def test_cursor_is_valid_for_its_list_alone(one: OrderFilters, other: OrderFilters) -> None:
    assume(one != other)
    assert refused(CURSORS.encode(WHERE, one), other)


@pytest.mark.parametrize(
    "change",
    [
        {"owner": 2},
        {"status": OrderStatus.PAID},
        {"placed_from": WHERE.placed_at},
        {"placed_before": WHERE.placed_at},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_a_list_is_sealed(change: dict[str, Any]) -> None:
    assert refused(CURSORS.encode(WHERE, ALICES), replace(ALICES, **change))


def test_start_and_end_times_are_not_confused() -> None:
    since = replace(ALICES, placed_from=WHERE.placed_at)
    assert refused(CURSORS.encode(WHERE, since), replace(ALICES, placed_before=WHERE.placed_at))


@pytest.mark.parametrize("position", range(44))
def test_cursor_with_one_changed_character_is_refused(position: int) -> None:
    cursor = CURSORS.encode(WHERE, ALICES)
    for letter in set(ALPHABET) - {cursor[position]}:
        assert refused(cursor[:position] + letter + cursor[position + 1 :], ALICES)


@given(st.text() | st.text(ALPHABET, min_size=44, max_size=44))
def test_any_text_is_refused(text: str) -> None:
    assert refused(text, ALICES)


def test_cursor_of_another_storage_is_refused() -> None:
    other = Cursors(b"the secret of another storage...")
    assert refused(other.encode(WHERE, ALICES), ALICES)
