"""What a request notes of its writes."""

from ordergate.application.consistency import Consistency


def test_last_write_is_noted() -> None:
    consistency = Consistency()
    assert consistency.written is None
    for position, last in ((7, 7), (9, 9), (8, 9)):
        consistency.note(position)
        assert consistency.written == last
    assert consistency.needed is None
