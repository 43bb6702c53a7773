"""Password hasher contract."""

import asyncio
import time

import pytest

from ordergate.application.errors import Throttled
from ordergate.application.ports.passwords import PasswordHasher, Requester, Verification
from ordergate.domain.user import Password, PasswordHash, User, UserId, Username

GUESSES = ["a", "pässwörd", "x" * 72, "x" * 73, "x" * 4096, "é" * 2048, "🗝️ and words"]
NO_HASHES = ["", "!", "no hash", "$2b$99$short", "$2b$12$" + "\0" * 53]


class PasswordHasherContract:
    """`PasswordHasher`."""

    @pytest.fixture
    def hasher(self) -> PasswordHasher:
        raise NotImplementedError

    @pytest.fixture
    def outdated(self) -> PasswordHash:
        """Return a hash of `old password` weaker than the hasher's own."""
        raise NotImplementedError

    def work(self, hasher: PasswordHasher) -> float:
        """Return how much this process has hashed, in any unit.

        Processor seconds are one.
        """
        return time.process_time()

    async def measure_work(self, hasher: PasswordHasher, stored: PasswordHash | None) -> float:
        await hasher.verify(Password("guess"), stored)  # the first may take longer
        before = self.work(hasher)
        for _ in range(10):
            await hasher.verify(Password("guess"), stored)
        return self.work(hasher) - before

    @pytest.mark.parametrize("secret", GUESSES, ids=len)
    async def test_password_matches_its_own_hash(self, hasher: PasswordHasher, secret: str) -> None:
        stored = await hasher.hash(Password(secret))
        assert await hasher.verify(Password(secret), stored) == Verification(matches=True)

    @pytest.mark.parametrize("secret", GUESSES[2:], ids=len)
    async def test_last_character_counts_at_any_length(
        self, hasher: PasswordHasher, secret: str
    ) -> None:
        stored = await hasher.hash(Password(secret))
        assert await hasher.verify(Password(secret[:-1]), stored) == Verification(matches=False)
        assert await hasher.verify(Password(secret[:-1] + "y"), stored) == Verification(
            matches=False
        )

    async def test_case_and_spaces_count(self, hasher: PasswordHasher) -> None:
        stored = await hasher.hash(Password("Secret words"))
        for guess in ("secret words", "Secret words ", " Secret words", "Secretwords"):
            assert await hasher.verify(Password(guess), stored) == Verification(matches=False)

    async def test_composed_letter_matches_its_decomposed_form(
        self, hasher: PasswordHasher
    ) -> None:
        stored = await hasher.hash(Password("caf\u00e9"))
        assert await hasher.verify(Password.guess("cafe\u0301"), stored) == Verification(
            matches=True
        )

    async def test_two_hashes_of_one_password_differ(self, hasher: PasswordHasher) -> None:
        assert await hasher.hash(Password("same")) != await hasher.hash(Password("same"))

    async def test_missing_hash_never_matches(self, hasher: PasswordHasher) -> None:
        assert await hasher.verify(Password("guess"), None) == Verification(matches=False)

    async def test_missing_account_costs_the_same_work(self, hasher: PasswordHasher) -> None:
        work = await self.measure_work(hasher, await hasher.hash(Password("secret")))
        assert work / 2 < await self.measure_work(hasher, None) < work * 2

    @pytest.mark.parametrize("stored", NO_HASHES)
    async def test_malformed_hash_costs_the_same_work(
        self, hasher: PasswordHasher, stored: str
    ) -> None:
        work = await self.measure_work(hasher, await hasher.hash(Password("secret")))
        assert work / 2 < await self.measure_work(hasher, PasswordHash(stored)) < work * 2

    @pytest.mark.parametrize("stored", NO_HASHES)
    async def test_malformed_hash_never_matches(self, hasher: PasswordHasher, stored: str) -> None:
        assert await hasher.verify(Password("guess"), PasswordHash(stored)) == Verification(
            matches=False
        )

    async def test_disabled_hash_never_matches_and_costs_the_same_work(
        self, hasher: PasswordHasher
    ) -> None:
        enabled = User(UserId(1), Username("alice"), await hasher.hash(Password("secret")))
        disabled = enabled.disabled().password_hash
        assert await hasher.verify(Password("secret"), disabled) == Verification(matches=False)
        work = await self.measure_work(hasher, enabled.password_hash)
        assert work / 2 < await self.measure_work(hasher, disabled) < work * 2

    async def test_match_with_a_weaker_hash_returns_a_stronger_one(
        self, hasher: PasswordHasher, outdated: PasswordHash
    ) -> None:
        verification = await hasher.verify(Password("old password"), outdated)
        assert verification.matches
        assert verification.upgraded is not None
        assert await hasher.verify(Password("old password"), verification.upgraded) == Verification(
            matches=True
        )

    async def test_wrong_guess_upgrades_nothing(
        self, hasher: PasswordHasher, outdated: PasswordHash
    ) -> None:
        assert await hasher.verify(Password("wrong"), outdated) == Verification(matches=False)

    async def test_result_does_not_depend_on_the_requester(self, hasher: PasswordHasher) -> None:
        requester = Requester.from_client("192.0.2.1", "alice", known=True)
        stored = await hasher.hash(Password("secret words"), requester)
        right = await hasher.verify(Password("secret words"), stored, requester)
        wrong = await hasher.verify(Password("other words"), stored, requester)
        assert (right.matches, wrong.matches) == (True, False)

    async def test_flood_for_one_account_refuses_only_its_own_work(
        self, hasher: PasswordHasher
    ) -> None:
        requesters = [Requester.from_client("192.0.2.1", "mallory", known=True)] * 76
        requesters += [
            Requester.from_client("192.0.2.1", "mallory", known=False),
            Requester.from_client("192.0.2.1", "bob", known=True),
        ]
        *flood, stranger, other = await asyncio.gather(
            *(hasher.verify(Password("guess"), None, requester) for requester in requesters),
            return_exceptions=True,
        )
        assert stranger == other == Verification(matches=False)
        assert all(
            answer == other or (isinstance(answer, Throttled) and answer.retry_after >= 1)
            for answer in flood
        )

    async def test_hasher_works_again_after_a_close(self, hasher: PasswordHasher) -> None:
        stored = await hasher.hash(Password("secret words"))
        for _ in range(2):
            hasher.close()
        assert await hasher.verify(Password("secret words"), stored) == Verification(matches=True)

    def test_requesters_are_grouped_as_the_throttle_groups_them(self) -> None:
        one = Requester.from_client("2001:db8:0:1::1", "Zo\u00eb", known=False)
        assert one == Requester.from_client("2001:db8:0:1::2", "ZOE\u0308", known=False)
        assert one != Requester.from_client("2001:db8:0:2::1", "Zo\u00eb", known=False)
        assert one != Requester.from_client("2001:db8:0:1::1", "zoe", known=False)
