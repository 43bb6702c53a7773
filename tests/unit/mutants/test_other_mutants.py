"""Faults of throttles, password hashers, token issuers, clocks and key publishers."""

import asyncio
from datetime import datetime, timedelta

from ordergate.adapters.system.system_clock import SystemClock
from ordergate.application.errors import InvalidToken, Throttled
from ordergate.application.ports.passwords import (
    AccountKey,
    Requester,
    SessionKey,
    ThrottleKey,
    Verification,
    Verify,
)
from ordergate.application.ports.tokens import AccessToken, Caller, Jwks
from ordergate.domain.scope import Scope
from ordergate.domain.user import Password, PasswordHash, UserId
from tests.support.doubles import CountingThrottle, InstantPasswordHasher, TableTokenIssuer, Tally
from tests.unit.mutants.kit import Keys, caught_by

# Throttles


@caught_by("test_unverified_guess_is_not_counted")
class CountsWhatWasNotJudged(CountingThrottle):
    """A hasher that is overloaded blocks accounts."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        async def verify_guess() -> Verification:
            try:
                return await verify()
            except Exception:
                self._fail(*self._tallies(key, address))
                raise

        return await super().guard(key, address, verify_guess, familiar=familiar)


@caught_by("test_cancelled_guess_is_not_counted")
class KeepsThePlaceOfACancelledGuess(CountingThrottle):
    """Disconnected clients block an account until the service restarts."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        try:
            return await super().guard(key, address, verify, familiar=familiar)
        except asyncio.CancelledError:
            self._under_way.update(self._tallies(key, address))
            raise


@caught_by("test_match_keeps_the_accounts_failures_elsewhere")
class ForgetsTheAccountOnAMatch(CountingThrottle):
    """Frequent sign-ins hide the guesses of others."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        outcome = await super().guard(key, address, verify, familiar=familiar)
        if outcome.matches:
            self._failures.pop(("account", key), None)
        return outcome


@caught_by("test_match_keeps_the_failures_of_the_address")
class ForgetsTheAddressOnAMatch(CountingThrottle):
    """An attacker with an account of their own guesses without end."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        outcome = await super().guard(key, address, verify, familiar=familiar)
        if outcome.matches:
            self._failures.pop(("address", address), None)
        return outcome


@caught_by("test_parallel_guesses_get_no_further_than_sequential_ones")
class CountsOnlyWhatIsOver(CountingThrottle):
    """Parallel guesses exceed the limit."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        async def verify_guess() -> Verification:
            self._under_way.clear()
            return await verify()

        self._under_way.clear()
        outcome = await super().guard(key, address, verify_guess, familiar=familiar)
        self._under_way.clear()
        return outcome


@caught_by("test_familiar_address_is_blocked_by_the_accounts_own_failures_there")
class NeverShutsAFamiliarAddress(CountingThrottle):
    """A user may guess without limit at a familiar address."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        if familiar:
            return await verify()
        return await super().guard(key, address, verify, familiar=familiar)


@caught_by("test_throttle_returns_the_outcome_of_a_guess")
class ReturnsOnlyWhetherAGuessMatches(CountingThrottle):
    """Weak hashes are never replaced."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        outcome = await super().guard(key, address, verify, familiar=familiar)
        return Verification(outcome.matches)


@caught_by("test_account_is_not_blocked_by_failures_of_a_session_of_its_name")
class CountsSessionsAsAccounts(CountingThrottle):
    """An account named like a session blocks that session's user."""

    def _tallies(self, key: ThrottleKey, address: str) -> list[Tally]:
        as_account = AccountKey(str(key.session)) if isinstance(key, SessionKey) else key
        return super()._tallies(as_account, address)


@caught_by("test_failures_of_a_session_count_for_that_session_alone")
class CountsSessionsByUser(CountingThrottle):
    """A stolen token shuts the other sessions of its user."""

    def _tallies(self, key: ThrottleKey, address: str) -> list[Tally]:
        of_user = SessionKey(key.user, None) if isinstance(key, SessionKey) else key
        return super()._tallies(of_user, address)


@caught_by("test_ipv6_address_counts_as_its_64", "test_sign_ups_of_an_address_are_limited")
class CountsWholeAddresses(CountingThrottle):
    """One IPv6 client has 2^64 addresses."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        return await super().guard(key, f"={address}", verify, familiar=familiar)

    async def count_sign_up(self, address: str) -> None:
        await super().count_sign_up(f"={address}")


@caught_by(
    "test_ipv6_48_is_blocked_after_ten_times_as_many_failures",
    "test_sign_ups_of_an_ipv6_48_are_limited_to_ten_times_as_many",
)
class CountsNoMoreThanAddresses(CountingThrottle):
    """One customer has 65,536 networks that count as one address each."""

    def _networks(self, one: str, wider: str, address: str) -> list[Tally]:
        return super()._networks(one, wider, address)[:1]


@caught_by("test_sign_ups_of_an_address_are_limited")
class CountsSignUpsAsFailures(CountingThrottle):
    """Opening accounts shuts the address for signing in."""

    async def count_sign_up(self, address: str) -> None:
        await super().count_sign_up(address)
        for tally in [tally for tally in self._failures if tally[0] == "sign-up"]:
            self._failures["address", *tally[1:]] = self._failures[tally]


@caught_by("test_refused_guess_is_not_counted")
class CountsRefusals(CountingThrottle):
    """A client that asks again and again shuts its address."""

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        try:
            return await super().guard(key, address, verify, familiar=familiar)
        except Throttled:
            self._fail(("address", address))
            raise


# Password hashers


@caught_by("test_missing_account_costs_the_same_work")
class SkipsTheWorkForNoAccount(InstantPasswordHasher):
    """The time of the answer says which accounts exist."""

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        if stored is None:
            return Verification(matches=False)
        return await super().verify(password, stored)


@caught_by("test_malformed_hash_costs_the_same_work[no hash]")
class SkipsTheWorkForNoHash(InstantPasswordHasher):
    """The time of the answer says which accounts have no password."""

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        if stored is not None and "$" not in stored[1:]:
            return Verification(matches=False)
        return await super().verify(password, stored)


@caught_by("test_disabled_hash_never_matches_and_costs_the_same_work")
class ReadsTheHashOfADisabledAccount(InstantPasswordHasher):
    """The mark in front of a hash is skipped."""

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        readable = None if stored is None else PasswordHash(stored.removeprefix("!"))
        return await super().verify(password, readable, requester)


@caught_by("test_last_character_counts_at_any_length[73]")
class HashesTheFirst72Characters(InstantPasswordHasher):
    """The behaviour of bcrypt."""

    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        return await super().hash(Password(password.secret[:72]))

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        return await super().verify(Password(password.secret[:72]), stored)


@caught_by("test_two_hashes_of_one_password_differ")
class HashesWithoutSalt(InstantPasswordHasher):
    """Equal passwords have equal hashes."""

    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        return PasswordHash(f"{self._work}$salt${password.secret}")


@caught_by("test_case_and_spaces_count")
class StripsPasswords(InstantPasswordHasher):
    """As a form would."""

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        return await super().verify(Password(password.secret.strip()), stored)


@caught_by("test_password_matches_its_own_hash")
class UpgradesEveryHash(InstantPasswordHasher):
    """Each sign-in writes a new hash."""

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        verification = await super().verify(password, stored)
        upgraded = await self.hash(password) if verification.matches else None
        return Verification(verification.matches, upgraded)


@caught_by("test_match_with_a_weaker_hash_returns_a_stronger_one")
class NeverUpgradesAHash(InstantPasswordHasher):
    """A raised cost has no effect on those who have a hash."""

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        return Verification((await super().verify(password, stored)).matches)


# Token issuers


@caught_by("test_token_is_refused_from_the_second_it_expires")
class AcceptsATokenAtItsLastMoment(TableTokenIssuer):
    """The time of expiry is inclusive."""

    async def verify(self, token: str) -> Caller:
        caller, expires = self._issued.get(token, (None, None))
        if caller is None or expires is None or expires < self._clock.now():
            raise InvalidToken("unknown or expired")
        return caller


@caught_by("test_token_expires_no_later_than_its_session")
class AcceptsATokenAfterUntil(TableTokenIssuer):
    """Only the lifetime of tokens counts."""

    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        token = super().issue(caller)
        left = (until - self._clock.now()).total_seconds() if until else token.expires_in
        return AccessToken(token.value, min(token.expires_in, int(left)))


@caught_by("test_token_is_not_extended_by_until")
class LetsUntilExtendAToken(TableTokenIssuer):
    """A token lives as long as its session, beyond `expires_in`."""

    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        token = super().issue(caller, until=until)
        if until is not None:
            self._issued[token.value] = (caller, until)
        return token


@caught_by("test_token_does_not_exceed_until_by_a_fraction_of_a_second")
class RoundsUntilUp(TableTokenIssuer):
    """A token has whole seconds, and its last one outlives `until`."""

    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        if until is not None:
            until = until.replace(microsecond=0) + timedelta(seconds=bool(until.microsecond))
        return super().issue(caller, until=until)


@caught_by("test_verify_returns_the_caller")
class LosesTheScope(TableTokenIssuer):
    """Every token grants everything."""

    async def verify(self, token: str) -> Caller:
        caller = await super().verify(token)
        return Caller(caller.id, caller.client_id, frozenset(Scope), caller.session)


@caught_by(f"test_verify_returns_the_caller[{2**63 - 1}]")
class ReadsIdsAsFloatingPoint(TableTokenIssuer):
    """As JavaScript reads numbers of JSON."""

    async def verify(self, token: str) -> Caller:
        caller = await super().verify(token)
        return Caller(UserId(int(float(caller.id))), caller.client_id, caller.scope, caller.session)


@caught_by("test_repr_does_not_contain_the_token")
class ShowsTokens(TableTokenIssuer):
    """A log line with the answer has the token in it."""

    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        class Shown(AccessToken):
            def __repr__(self) -> str:
                return self.value

        token = super().issue(caller, until=until)
        return Shown(token.value, token.expires_in)


# Clocks


@caught_by("test_now_is_aware_and_in_utc")
class TellsANaiveTime(SystemClock):
    """`datetime.utcnow()`."""

    def now(self) -> datetime:
        return super().now().replace(tzinfo=None)


@caught_by("test_now_is_in_utc_in_every_time_zone")
class TellsTheLocalTime(SystemClock):
    """A machine in UTC shows no difference."""

    def now(self) -> datetime:
        return super().now().astimezone()


# Public keys


@caught_by("test_private_members_are_not_published")
class PublishesThePrivateKey(Keys):
    """A JWK as the library writes the whole pair."""

    def jwks(self) -> Jwks:
        return {"keys": [{**key, "d": "c2VjcmV0"} for key in super().jwks()["keys"]]}


@caught_by("test_published_key_names_its_use_and_algorithm")
class PublishesKeysWithoutTheirUse(Keys):
    """A client may encrypt with it."""

    def jwks(self) -> Jwks:
        keys = super().jwks()["keys"]
        return {"keys": [{name: key[name] for name in key.keys() - {"use"}} for key in keys]}
