"""Random numbers: never the same, in no thread and no process."""

import os
from concurrent.futures import ThreadPoolExecutor

from ordergate.application import random_numbers
from ordergate.application.random_numbers import draw_128_bits


def draw_1000_numbers(_: int = 0) -> list[int]:
    return [draw_128_bits() for _ in range(1_000)]


def test_numbers_are_all_different() -> None:
    with ThreadPoolExecutor(8) as threads:
        numbers = [number for each in threads.map(draw_1000_numbers, range(8)) for number in each]
    assert len(set(numbers)) == 8_000
    assert 2**120 < max(numbers) < 2**128


def test_forked_process_draws_its_own_numbers() -> None:
    draw_128_bits()
    assert random_numbers._numbers
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        os.write(sender, b"%d" % len(random_numbers._numbers))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(sender)
    with os.fdopen(receiver) as stream:
        assert stream.read() == "0"
