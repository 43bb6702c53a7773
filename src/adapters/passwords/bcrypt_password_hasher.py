"""Passwords hashed with bcrypt, through passlib's `CryptContext` (the libpass distribution)."""

import asyncio
import math
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from passlib.context import CryptContext

from adapters.background import stand_back
from application.errors import Overloaded
from application.ports.passwords import PasswordHasher, Verification
from domain.user import Password, PasswordHash

T = TypeVar("T")

_PLAIN_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_SHA256 = re.compile(
    r"\$bcrypt-sha256\$v=2,t=2b,r=(\d{1,2})\$[./A-Za-z0-9]{22}\$[./A-Za-z0-9]{31}"
)
_PLAIN_BCRYPT_BYTES = 72
_COSTS = range(4, 32)


class BcryptPasswordHasher(PasswordHasher):
    """`bcrypt_sha256` for new hashes; plain `$2a$`, `$2b$`, `$2y$` accepted and upgraded.

    `cost` is the binary logarithm of bcrypt's rounds (4 to 31). New hashes run SHA-256 before
    bcrypt, so every byte of a long password counts; plain bcrypt knows 72 bytes, and here a longer
    guess never matches a plain hash made elsewhere.

    Hashing runs on `threads` threads of its own, bcrypt without the GIL, while at most `queue` more
    jobs wait; one more raises `Overloaded` at once. With `behind`, on Linux, they run while a
    processor has nothing else of this service to do, and hardly ever where none is idle.
    """

    def __init__(self, *, cost: int, threads: int, queue: int, behind: bool = True) -> None:
        self._cost = cost
        self._context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated=["bcrypt"],
            bcrypt_sha256__default_rounds=cost,
            bcrypt_sha256__min_rounds=cost,
        )
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="hashing", initializer=stand_back if behind else None
        )
        self._threads = threads
        self._room = threads + queue
        self._lock = Lock()
        self._seconds_a_job = 0.0

    async def hash(self, password: Password) -> PasswordHash:
        """Hash with a new random salt of 128 bits."""
        return PasswordHash(await self._run(lambda: self._context.hash(password.secret)))

    async def verify(self, password: Password, stored: PasswordHash | None) -> Verification:
        """Compare; every refusal costs at least 2^cost rounds, whatever is stored."""
        return await self._run(lambda: self._verify(password.secret, stored))

    def close(self) -> None:
        """Let the threads go once their work is done, and drop the jobs that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, guess: str, stored: PasswordHash | None) -> Verification:
        cost = _cost_of(stored)
        if stored is None or cost is None:
            self._work(self._cost)
            return Verification(matches=False)
        if _PLAIN_BCRYPT.fullmatch(stored) and len(guess.encode()) > _PLAIN_BCRYPT_BYTES:
            self._work(max(cost, self._cost))
            return Verification(matches=False)
        matches, upgraded = self._context.verify_and_update(guess, stored)
        if not matches:
            # One hash of cost c and one each of c, c+1, ..., C-1 are 2^C rounds: as many as for an
            # account that does not exist, so an old, cheap hash does not tell that its owner does.
            for missing in range(cost, self._cost):
                self._work(missing)
        return Verification(matches, PasswordHash(upgraded) if upgraded else None)

    def _work(self, cost: int) -> None:
        self._context.handler("bcrypt_sha256").using(rounds=cost).hash("")

    async def _run(self, job: Callable[[], T]) -> T:
        def timed() -> T:
            started = time.perf_counter()
            try:
                return job()
            finally:
                self._seconds_a_job = time.perf_counter() - started

        with self._lock:
            if self._room <= 0:
                raise Overloaded(retry_after=self._time_until_room())
            self._room -= 1
        try:
            future = self._pool.submit(timed)
        except RuntimeError:
            self._leave()
            raise
        future.add_done_callback(lambda _: self._leave())
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        with self._lock:
            self._room += 1

    def _time_until_room(self) -> int:
        return max(1, math.ceil(self._seconds_a_job / self._threads))


def _cost_of(stored: PasswordHash | None) -> int | None:
    """Read the cost from a hash, or `None` where there is no hash that can be verified."""
    match = stored and (_PLAIN_BCRYPT.fullmatch(stored) or _BCRYPT_SHA256.fullmatch(stored))
    return int(match[1]) if match and int(match[1]) in _COSTS else None
