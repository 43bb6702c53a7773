"""Unpredictable random numbers."""

import os

_BYTES = 16
_AT_ONCE = 256

_numbers: list[int] = []
os.register_at_fork(after_in_child=_numbers.clear)


def draw_128_bits() -> int:
    """Return a number from 0 to 2^128-1 from the operating system's generator.

    Many numbers are fetched together: each system call lets other threads run, and an event loop
    that waits for its next turn loses 5 µs beside a thread that commits. Any thread may call this
    function.
    """
    while True:
        try:
            return _numbers.pop()
        except IndexError:
            data = os.urandom(_BYTES * _AT_ONCE)
            _numbers.extend(
                int.from_bytes(data[at : at + _BYTES]) for at in range(0, len(data), _BYTES)
            )
