"""Password hashing with bcrypt, by passlib's `CryptContext` (the libpass distribution)."""

import re

from passlib.context import CryptContext

from ordergate.adapters.passwords.hashing_threads import HashingThreads
from ordergate.application.ports.passwords import (
    HasherInspector,
    HashingLoad,
    PasswordHasher,
    Requester,
    Verification,
)
from ordergate.domain.user import Password, PasswordHash

_PLAIN_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_SHA256 = re.compile(
    r"\$bcrypt-sha256\$v=2,t=2b,r=(\d{1,2})\$[./A-Za-z0-9]{22}\$[./A-Za-z0-9]{31}"
)
_PLAIN_BCRYPT_BYTES = 72
_COSTS = range(4, 32)


class BcryptPasswordHasher(PasswordHasher, HasherInspector):
    """`bcrypt_sha256` for new hashes; plain bcrypt hashes are upgraded.

    Plain hashes have the prefixes `$2a$`, `$2b$` and `$2y$`. `cost` is the base-2 logarithm of
    bcrypt's rounds (4 to 31). New hashes apply SHA-256 before bcrypt, so every byte of a long
    password counts. Plain bcrypt uses 72 bytes; a longer guess never matches a plain hash of
    another system.

    Hashing runs on `HashingThreads`, which describes `threads`, `queue` and `low_priority`. bcrypt
    releases the GIL.
    """

    def __init__(self, *, cost: int, threads: int, queue: int, low_priority: bool = True) -> None:
        self._cost = cost
        self._context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated=["bcrypt"],
            bcrypt_sha256__default_rounds=cost,
            bcrypt_sha256__min_rounds=cost,
        )
        self._threads = HashingThreads(threads=threads, queue=queue, low_priority=low_priority)

    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        """Hash with a new random salt of 128 bits."""
        return PasswordHash(
            await self._threads.run(lambda: self._context.hash(password.secret), requester)
        )

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        """Compare; every refusal costs at least 2^cost rounds."""
        return await self._threads.run(lambda: self._verify(password.secret, stored), requester)

    def count_jobs(self) -> HashingLoad:
        """Count the passwords that are hashed, and those that wait."""
        return self._threads.count_jobs()

    def close(self) -> None:
        """Stop the threads after their current jobs, and drop the waiting ones.

        A later call starts new threads.
        """
        self._threads.close()

    def _verify(self, guess: str, stored: PasswordHash | None) -> Verification:
        cost = _read_cost(stored)
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


def _read_cost(stored: PasswordHash | None) -> int | None:
    """Read the cost of a hash; return `None` if it is invalid."""
    match = stored and (_PLAIN_BCRYPT.fullmatch(stored) or _BCRYPT_SHA256.fullmatch(stored))
    return int(match[1]) if match and int(match[1]) in _COSTS else None
