"""Throttle contract."""

import asyncio
import time

import pytest

from ordergate.application.errors import Throttled
from ordergate.application.ports.passwords import (
    SessionKey,
    Throttle,
    Verification,
)
from ordergate.domain.session import SessionId
from ordergate.domain.user import PasswordHash, UserId
from tests.support.identity.throttle_calls import (
    ALICE_KEY,
    FAILURE,
    HERE,
    MATCH,
    THERE,
    Unjudged,
    guess,
    is_blocked,
    verification,
)


class ThrottleContract:
    """`Throttle`."""

    @pytest.fixture
    def throttle(self) -> Throttle:
        """Return a throttle with small limits.

        An account has 3 failures and an address 6, in 60 s.
        """
        raise NotImplementedError

    @pytest.mark.parametrize("username", ["alice", "nobody", "", "no name", "\ud800", "x" * 9999])
    async def test_account_is_blocked_after_three_failures_whether_or_not_it_exists(
        self, throttle: Throttle, username: str
    ) -> None:
        for _ in range(3):
            assert not await is_blocked(throttle, username)
            await guess(throttle, username)
        assert await is_blocked(throttle, username)
        assert not await is_blocked(throttle, "bob")

    async def test_failures_from_anywhere_count_for_the_account(self, throttle: Throttle) -> None:
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            await guess(throttle, address=address)
        assert await is_blocked(throttle)

    async def test_names_that_differ_in_case_or_width_are_one(self, throttle: Throttle) -> None:
        for username in ("Zoë", "ZOE\u0308", "\uff3aoë"):
            await guess(throttle, username)
        assert await is_blocked(throttle, "zoë")
        assert not await is_blocked(throttle, "zoe")

    async def test_address_is_blocked_after_six_failures_for_many_accounts(
        self, throttle: Throttle
    ) -> None:
        for number in range(6):
            assert not await is_blocked(throttle, address=HERE)
            await guess(throttle, f"user{number}")
        assert await is_blocked(throttle, address=HERE)
        assert not await is_blocked(throttle, address=THERE)

    async def test_account_and_address_of_one_name_are_counted_separately(
        self, throttle: Throttle
    ) -> None:
        for _ in range(3):
            await guess(throttle, HERE, THERE)
        assert not await is_blocked(throttle, "bob", HERE)

    @pytest.mark.parametrize("address", ["2001:db8:0:1::1", "2001:DB8:0:1:ffff:ffff:ffff:ffff"])
    async def test_ipv6_address_counts_as_its_64(self, throttle: Throttle, address: str) -> None:
        for number in range(6):
            await guess(throttle, f"user{number}", f"2001:db8:0:1:{number}::")
        assert await is_blocked(throttle, address=address)
        assert not await is_blocked(throttle, address="2001:db8:0:2::1")

    async def test_ipv6_48_is_blocked_after_ten_times_as_many_failures(
        self, throttle: Throttle
    ) -> None:
        """A /48 contains 65,536 networks that count as one address each."""
        for number in range(60):
            address = f"2001:db8:0:{number:x}::1"
            assert not await is_blocked(throttle, f"user{number}", address)
            await guess(throttle, f"user{number}", address)
        assert await is_blocked(throttle, address="2001:db8:0:ffff::1")
        assert not await is_blocked(throttle, address="2001:db8:0:ffff::1", familiar=True)
        assert not await is_blocked(throttle, address="2001:db8:1::1")

    async def test_ipv4_address_counts_as_one_in_every_spelling(self, throttle: Throttle) -> None:
        for number in range(6):
            await guess(throttle, f"user{number}", f"::ffff:{HERE}")
        assert await is_blocked(throttle, address=HERE)
        assert not await is_blocked(throttle, address=f"::ffff:{THERE}")

    @pytest.mark.parametrize("address", ["", "testclient", "999.0.0.1", "fe80::1%eth0", "\ud800"])
    async def test_any_text_is_accepted_as_an_address(
        self, throttle: Throttle, address: str
    ) -> None:
        for number in range(6):
            await guess(throttle, f"user{number}", address)
        assert await is_blocked(throttle, address=address)
        assert not await is_blocked(throttle)

    async def test_familiar_address_is_not_blocked_by_failures_elsewhere(
        self, throttle: Throttle
    ) -> None:
        for _ in range(3):
            await guess(throttle, address=HERE)
        assert await is_blocked(throttle, address=THERE)
        assert not await is_blocked(throttle, address=THERE, familiar=True)

    async def test_familiar_address_is_not_blocked_by_other_accounts_there(
        self, throttle: Throttle
    ) -> None:
        for number in range(6):
            await guess(throttle, f"user{number}", HERE)
        assert await is_blocked(throttle, address=HERE)
        assert not await is_blocked(throttle, address=HERE, familiar=True)

    async def test_familiar_address_is_blocked_by_the_accounts_own_failures_there(
        self, throttle: Throttle
    ) -> None:
        for _ in range(3):
            await guess(throttle, address=HERE, familiar=True)
        assert await is_blocked(throttle, address=HERE, familiar=True)
        assert not await is_blocked(throttle, address=THERE, familiar=True)
        assert not await is_blocked(throttle, "bob", HERE, familiar=True)

    async def test_failures_at_a_familiar_address_count_for_account_and_address_too(
        self, throttle: Throttle
    ) -> None:
        for username in ("alice", "bob"):
            for _ in range(3):
                await guess(throttle, username, HERE, familiar=True)
        assert await is_blocked(throttle, "alice", THERE)
        assert await is_blocked(throttle, "carol", HERE)

    async def test_match_resets_the_accounts_failures_at_the_address(
        self, throttle: Throttle
    ) -> None:
        for _ in range(3):
            await guess(throttle, familiar=True)
            await guess(throttle, familiar=True)
            await guess(throttle, familiar=True, matched=True)
        assert not await is_blocked(throttle, address=HERE, familiar=True)

    async def test_match_keeps_the_accounts_failures_elsewhere(self, throttle: Throttle) -> None:
        await guess(throttle)
        await guess(throttle)
        await guess(throttle, address=THERE, matched=True)
        await guess(throttle)
        assert await is_blocked(throttle)

    async def test_match_keeps_the_failures_of_the_address(self, throttle: Throttle) -> None:
        for number in range(6):
            await guess(throttle, f"user{number}")
            if number < 5:
                await guess(throttle, "mallory", matched=True)
        assert await is_blocked(throttle, "mallory", HERE)

    async def test_match_is_not_counted(self, throttle: Throttle) -> None:
        for _ in range(9):
            await guess(throttle, matched=True)
        assert not await is_blocked(throttle, address=HERE)

    async def test_throttle_returns_the_outcome_of_a_guess(self, throttle: Throttle) -> None:
        for outcome in (Verification(True, PasswordHash("a stronger hash")), FAILURE):

            async def verify(outcome: Verification = outcome) -> Verification:
                return outcome

            assert await throttle.guard(ALICE_KEY, HERE, verify, familiar=False) is outcome

    async def test_account_is_not_blocked_by_failures_of_a_session_of_its_name(
        self, throttle: Throttle
    ) -> None:
        for _ in range(3):
            await guess(throttle, SessionKey(UserId(1), SessionId("alice")))
        for name in ("alice", "1", "session", "the session alice", "1alice"):
            assert not await is_blocked(throttle, name)

    async def test_failures_of_a_session_count_for_that_session_alone(
        self, throttle: Throttle
    ) -> None:
        key = SessionKey(UserId(1), SessionId("stolen"))
        for _ in range(3):
            await guess(throttle, key)
        assert await is_blocked(throttle, key)
        assert not await is_blocked(throttle, SessionKey(UserId(1), SessionId("another")))
        assert not await is_blocked(throttle, SessionKey(UserId(1), None))

    async def test_callers_without_a_session_are_counted_by_user(self, throttle: Throttle) -> None:
        for _ in range(3):
            await guess(throttle, SessionKey(UserId(1), None))
        assert await is_blocked(throttle, SessionKey(UserId(1), None))
        assert not await is_blocked(throttle, SessionKey(UserId(2), None))

    async def test_unverified_guess_is_not_counted(self, throttle: Throttle) -> None:
        for _ in range(9):
            with pytest.raises(Unjudged):
                await throttle.guard(ALICE_KEY, HERE, verification(None), familiar=False)
        assert not await is_blocked(throttle, address=HERE)

    @pytest.mark.parametrize("familiar", [False, True])
    async def test_cancelled_guess_is_not_counted(
        self, throttle: Throttle, *, familiar: bool
    ) -> None:
        """A client that disconnects frees the place of its guess."""

        async def wait() -> Verification:
            entered.set()
            await asyncio.Event().wait()
            return FAILURE

        async def guess_until_cancelled() -> None:
            try:
                await throttle.guard(ALICE_KEY, HERE, wait, familiar=familiar)
            finally:
                entered.set()

        for _ in range(9):
            entered = asyncio.Event()
            task = asyncio.create_task(guess_until_cancelled())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not await is_blocked(throttle, address=HERE, familiar=familiar)

    async def test_refused_guess_is_not_counted(self, throttle: Throttle) -> None:
        for _ in range(3):
            await guess(throttle)
        for _ in range(9):
            assert await is_blocked(throttle, address=HERE)
        assert not await is_blocked(throttle, "bob", HERE)

    @pytest.mark.parametrize("familiar", [False, True])
    async def test_parallel_guesses_get_no_further_than_sequential_ones(
        self, throttle: Throttle, *, familiar: bool
    ) -> None:
        answers: list[str] = []
        all_waiting = asyncio.Event()

        def note(answer: str) -> None:
            answers.append(answer)
            if len(answers) == 50:
                all_waiting.set()

        async def fail_with_all() -> Verification:
            note("in")
            await all_waiting.wait()
            return FAILURE

        async def try_one() -> None:
            try:
                await throttle.guard(ALICE_KEY, HERE, fail_with_all, familiar=familiar)
            except Throttled as refusal:
                assert refusal.retry_after == 1
                note("refused")

        await asyncio.gather(*(try_one() for _ in range(50)))
        assert answers.count("in") == 3
        assert await is_blocked(throttle, address=HERE, familiar=familiar)

    async def test_pending_guesses_free_their_places_when_they_match(
        self, throttle: Throttle
    ) -> None:
        async def match_last() -> Verification:
            await guess(throttle)
            await guess(throttle)
            assert await is_blocked(throttle)
            return MATCH

        assert (await throttle.guard(ALICE_KEY, HERE, match_last, familiar=False)).matches
        assert not await is_blocked(throttle)

    async def test_spellings_of_one_account_are_counted_together(self, throttle: Throttle) -> None:
        for name in ("\u0386\u0301\u0345", "\u1fb4\u0301", "\u0386\u0301\u0345"):
            await guess(throttle, name)
        assert await is_blocked(throttle, "\u1fb4\u0301")

    async def test_similar_names_are_counted_separately(self, throttle: Throttle) -> None:
        for _ in range(3):
            await guess(throttle, "strasse")
        assert not await is_blocked(throttle, "straße", HERE)

    async def test_long_name_takes_little_time(self, throttle: Throttle) -> None:
        """Preparation takes quadratic time for many marks on one letter."""
        started = time.perf_counter()
        await guess(throttle, "a" + "\u0301\u0316" * 16_000)
        assert time.perf_counter() - started < 0.2

    async def test_sign_ups_of_an_address_are_limited(self, throttle: Throttle) -> None:
        for _ in range(6):
            await throttle.count_sign_up("2001:db8::1")
        with pytest.raises(Throttled) as refusal:
            await throttle.count_sign_up("2001:db8::2")
        assert 1 <= refusal.value.retry_after <= 60
        await throttle.count_sign_up(HERE)
        assert not await is_blocked(throttle, address="2001:db8::1")

    async def test_sign_ups_of_an_ipv6_48_are_limited_to_ten_times_as_many(
        self, throttle: Throttle
    ) -> None:
        for number in range(60):
            await throttle.count_sign_up(f"2001:db8:0:{number:x}::1")
        with pytest.raises(Throttled):
            await throttle.count_sign_up("2001:db8:0:ffff::1")
        await throttle.count_sign_up("2001:db8:1::1")

    async def test_close_is_idempotent(self, throttle: Throttle) -> None:
        await guess(throttle)
        await throttle.close()
        await throttle.close()
