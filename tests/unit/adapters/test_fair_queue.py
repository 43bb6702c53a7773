import pytest

from ordergate.adapters.passwords.fair_queue import FairQueue


def filled(bound: int, *paths: str) -> FairQueue[str]:
    """Return a queue of one item each.

    A path has a letter for each level.
    """
    queue: FairQueue[str] = FairQueue(bound)
    for place, path in enumerate(paths):
        queue.put(f"{path}{place}", path)
    return queue


def drained(queue: FairQueue[str]) -> str:
    return " ".join(queue.take() for _ in range(len(queue)))


def test_take_serves_the_outer_groups_in_turn() -> None:
    assert drained(filled(9, "ax", "ax", "ax", "bx", "by", "cx")) == "ax0 bx3 cx5 ax1 by4 ax2"


def test_take_serves_the_inner_groups_in_turn() -> None:
    assert drained(filled(9, "am", "am", "am", "ab", "bm")) == "am0 bm4 ab3 am1 am2"


def test_take_raises_when_the_queue_is_empty() -> None:
    with pytest.raises(IndexError):
        filled(1).take()


def test_full_queue_gives_a_newcomer_the_last_place_of_the_largest_outer_group() -> None:
    queue = filled(5, "ax", "ay", "ay", "bx", "ax")
    assert queue.is_full
    assert queue.make_room_for("cx") == "ax4"
    queue.put("new", "cx")
    assert drained(queue) == "ax0 bx3 new ay1 ay2"


def test_full_queue_gives_a_newcomer_the_last_place_of_the_largest_group_beside_its_own() -> None:
    queue = filled(4, "am", "am", "am", "ab")
    assert queue.make_room_for("ab") == "am2"
    assert queue.make_room_for("ab") is None
    assert drained(queue) == "am0 ab3 am1"


@pytest.mark.parametrize("newcomer", ["ax", "bx", "dx"])
def test_full_queue_refuses_a_newcomer_when_groups_are_even(newcomer: str) -> None:
    queue = filled(3, "ax", "bx", "cx")
    assert queue.make_room_for(newcomer) is None
    assert len(queue) == 3


def test_full_queue_refuses_a_newcomer_of_the_largest_group() -> None:
    assert filled(3, "ax", "ax", "bx").make_room_for("ax") is None


def test_queue_without_places_refuses_all() -> None:
    queue = filled(0)
    assert queue.is_full
    assert queue.make_room_for("ax") is None


def test_discard_removes_one_waiting_item() -> None:
    queue = filled(9, "ax", "ax", "bx")
    queue.discard("ax0", "ax")
    queue.discard("ax0", "ax")
    queue.discard("bx2", "bx")
    for path in ("ax", "ay", "cx"):
        queue.discard("never there", path)
    assert drained(queue) == "ax1"
