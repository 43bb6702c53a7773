"""Random numbers that nobody can foresee."""

import os

_BYTES = 16
_AT_ONCE = 256

_numbers: list[int] = []
os.register_at_fork(after_in_child=_numbers.clear)


def random_128_bits() -> int:
    """Return a number from 0 to 2^128-1 of the operating system's generator.

    Many are fetched together: during each system call the interpreter lets other threads run, and
    an event loop that waits for its turn again loses 5 µs beside a thread that commits. Any thread
    may call it.
    """
    while True:
        try:
            return _numbers.pop()
        except IndexError:
            data = os.urandom(_BYTES * _AT_ONCE)
            _numbers.extend(
                int.from_bytes(data[at : at + _BYTES]) for at in range(0, len(data), _BYTES)
            )
