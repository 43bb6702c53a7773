"""What a request notes of its writes."""

from ordergate.application.consistency import CURRENT, Consistency, begin_write


def test_last_write_is_noted() -> None:
    consistency = Consistency()
    assert consistency.written is None
    for position, last in ((7, 7), (9, 9), (8, 9)):
        consistency.note(position)
        assert consistency.written == last
    assert consistency.needed is None


def test_request_that_may_write_is_noted() -> None:
    begin_write()
    consistency = Consistency()
    former = CURRENT.set(consistency)
    try:
        assert not consistency.is_writing
        begin_write()
    finally:
        CURRENT.reset(former)
    assert consistency.is_writing
