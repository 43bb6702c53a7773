"""Faults of repositories of sessions."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ordergate.adapters.memory import InMemorySessionRepository, Tables
from ordergate.adapters.memory.tables import StoredToken
from ordergate.application.ports.sessions import (
    Forgotten,
    NewSession,
    Rotation,
    RotationOutcome,
    TokenExchange,
)
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import UserId
from tests.unit.mutants.kit import caught_by

# Starting


@caught_by(
    "test_session_does_not_start_when_the_password_has_changed",
    "test_sign_in_is_refused_while_the_password_changes",
)
class StartsSessionsWithAnyPassword(InMemorySessionRepository):
    """The hash is not compared."""

    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        if new.session.user not in self._tables.users:
            return None
        self._tables.sessions[new.session.id] = new.session
        self._tables.tokens[new.token] = StoredToken(new.session.id, new.token_expires_at)
        return ()


@caught_by("test_sign_in_is_refused_while_the_password_changes")
class ComparesTheHashBeforeItStarts(InMemorySessionRepository):
    """The password changes between the comparison and the write."""

    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        user = self._tables.users.get(new.session.user)
        if user is None or user.password_hash != new.password_hash:
            return None
        await asyncio.sleep(0)
        self._tables.sessions[new.session.id] = new.session
        self._tables.tokens[new.token] = StoredToken(new.session.id, new.token_expires_at)
        return ()


@caught_by("test_write_is_atomic_when_it_is_cancelled[start_a_session]")
class StoresTheTokenInASecondStep(InMemorySessionRepository):
    """A client that disconnects leaves a session without a token."""

    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        user = self._tables.users.get(new.session.user)
        if user is None or user.password_hash != new.password_hash:
            return None
        self._tables.sessions[new.session.id] = new.session
        await asyncio.sleep(0)
        self._tables.tokens[new.token] = StoredToken(new.session.id, new.token_expires_at)
        return ()


class _EndingSurplus(InMemorySessionRepository):
    """Ends what subclasses say when there are more sessions than the limit."""

    def _counted(self, session: Session) -> bool:
        return self._tables.is_active(session, session.started_at)

    def _surplus(self, active: list[Session], limit: int) -> list[Session]:
        return sorted(active, key=lambda s: s.expires_at, reverse=True)[limit - 1 :]

    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        user = self._tables.users.get(new.session.user)
        if user is None or user.password_hash != new.password_hash:
            return None
        counted = [s for s in self._of(new.session.user) if self._counted(s)]
        ended = self._tables.end(
            self._surplus(counted, limit), SessionEndReason.TOO_MANY, new.session.started_at
        )
        await self._pause()
        self._tables.sessions[new.session.id] = new.session
        self._tables.tokens[new.token] = StoredToken(new.session.id, new.token_expires_at)
        return ended

    def _of(self, user: UserId) -> list[Session]:
        return self._tables.list_user_sessions(user)

    async def _pause(self) -> None:
        pass


@caught_by("test_sessions_beyond_the_limit_end_in_order_of_expiry")
class StartsSessionsWithoutALimit(_EndingSurplus):
    """No session ends."""

    def _surplus(self, active: list[Session], limit: int) -> list[Session]:
        return []


@caught_by("test_sessions_beyond_the_limit_end_in_order_of_expiry")
class StartsOneSessionMoreThanTheLimit(_EndingSurplus):
    """The new session is not counted."""

    def _surplus(self, active: list[Session], limit: int) -> list[Session]:
        return super()._surplus(active, limit + 1)


@caught_by("test_sessions_beyond_the_limit_end_in_order_of_expiry")
class EndsOneSessionOfMany(_EndingSurplus):
    """There are still too many where there were more."""

    def _surplus(self, active: list[Session], limit: int) -> list[Session]:
        return super()._surplus(active, limit)[-1:]


@caught_by("test_sessions_beyond_the_limit_end_in_order_of_expiry")
class EndsTheSessionThatStartedFirst(_EndingSurplus):
    """The order of the rows decides."""

    def _surplus(self, active: list[Session], limit: int) -> list[Session]:
        return active[: max(0, len(active) - limit + 1)]


@caught_by("test_sessions_beyond_the_limit_end_in_order_of_expiry")
class CountsSessionsThatAreOverIntoTheLimitOfLiveOnes(_EndingSurplus):
    """Ended sessions push active ones out."""

    def _counted(self, session: Session) -> bool:
        return True


@caught_by("test_sessions_beyond_the_limit_end_in_order_of_expiry")
class CountsSessionsOfAllUsers(_EndingSurplus):
    """The user is not in the condition."""

    def _of(self, user: UserId) -> list[Session]:
        return list(self._tables.sessions.values())


@caught_by("test_write_is_atomic_when_it_is_cancelled[start_a_session_beyond_the_limit]")
class EndsSurplusSessionsInAFirstStep(_EndingSurplus):
    """A client that disconnects has lost a session and got none."""

    async def _pause(self) -> None:
        await asyncio.sleep(0)


# Rotating


class _Rotating(InMemorySessionRepository):
    """Rotates by what subclasses say."""

    async def _pause(self) -> None:
        pass

    def _is_repeated(self, age: timedelta, grace: timedelta) -> bool:
        return age < grace

    def _repeat(self, stored: StoredToken, at: datetime, sealed: bytes) -> None:
        pass

    def _is_active(self, session: Session, stored: StoredToken, at: datetime) -> bool:
        return self._tables.is_active(session, at)

    def _is_unexpired(self, stored: StoredToken, at: datetime) -> bool:
        return at < stored.expires_at

    def _end_reused(self, session: Session, at: datetime) -> None:
        self._tables.end([session], SessionEndReason.REUSE, at)

    def _renew(self, session: Session, at: datetime) -> Session:
        return replace(session, last_used_at=at)

    def _next(self, stored: StoredToken, expires_at: datetime) -> StoredToken:
        return StoredToken(stored.session, expires_at)

    async def rotate(self, exchange: TokenExchange) -> Rotation:
        stored = self._tables.tokens.get(exchange.old)
        session = await self.get_by_refresh_token(exchange.old)
        if stored is None or session is None or not self._is_active(session, stored, exchange.at):
            return Rotation(RotationOutcome.INVALID)
        used_at = stored.used_at
        await self._pause()
        if used_at is not None:
            if self._is_repeated(exchange.at - used_at, exchange.grace):
                self._repeat(stored, exchange.at, exchange.sealed)
                return Rotation(RotationOutcome.REPLAYED, stored.sealed)
            self._end_reused(session, exchange.at)
            return Rotation(RotationOutcome.REUSED)
        if not self._is_unexpired(stored, exchange.at):
            return Rotation(RotationOutcome.INVALID)
        stored.used_at, stored.sealed = exchange.at, exchange.sealed
        self._tables.tokens[exchange.new] = self._next(stored, exchange.expires_at)
        self._tables.sessions[session.id] = self._renew(session, exchange.at)
        return Rotation(RotationOutcome.ROTATED, exchange.sealed)


@caught_by(
    "test_parallel_rotations_succeed_once", "test_parallel_rotations_succeed_once_in_two_processes"
)
class ReadsATokenBeforeItRotates(_Rotating):
    """Each of many finds the token unused."""

    async def _pause(self) -> None:
        await asyncio.sleep(0)


@caught_by("test_reuse_ends_the_session")
class RepeatsWhenTheGraceIsOver(_Rotating):
    """The grace time is inclusive."""

    def _is_repeated(self, age: timedelta, grace: timedelta) -> bool:
        return age <= grace


@caught_by("test_repeated_rotation_changes_nothing")
class StartsTheGraceAgain(_Rotating):
    """A copy that is used every few seconds is never found out."""

    def _repeat(self, stored: StoredToken, at: datetime, sealed: bytes) -> None:
        stored.used_at = at


@caught_by("test_repeated_rotation_changes_nothing")
class StoresTheSuccessorOfARepetition(_Rotating):
    """The first client gets a token that does not exist."""

    async def rotate(self, exchange: TokenExchange) -> Rotation:
        rotation = await super().rotate(exchange)
        if rotation.outcome is RotationOutcome.REPLAYED:
            self._tables.tokens[exchange.old].sealed = exchange.sealed
        return rotation


@caught_by("test_repeated_rotation_changes_nothing")
class CountsARepetitionAsUse(_Rotating):
    """`last_used_at` moves."""

    def _repeat(self, stored: StoredToken, at: datetime, sealed: bytes) -> None:
        sessions = self._tables.sessions
        sessions[stored.session] = replace(sessions[stored.session], last_used_at=at)


@caught_by("test_reuse_ends_the_session")
class LetsAReusedSessionLive(_Rotating):
    """Only the token is refused."""

    def _end_reused(self, session: Session, at: datetime) -> None:
        pass


@caught_by("test_reuse_ends_the_session")
class EndsEverySessionOnReuse(_Rotating):
    """A copied token of one session ends the others."""

    def _end_reused(self, session: Session, at: datetime) -> None:
        self._tables.end(self._tables.list_user_sessions(session.user), SessionEndReason.REUSE, at)


@caught_by("test_every_ending_is_kept_with_its_time_and_reason")
class RecordsReuseAsRevocation(_Rotating):
    """The reason is lost."""

    def _end_reused(self, session: Session, at: datetime) -> None:
        self._tables.end([session], SessionEndReason.REVOKED, at)


@caught_by("test_expired_session_is_not_ended_by_reuse")
class EndsExpiredSessionsOnReuse(_Rotating):
    """A session that is over ends a second time."""

    def _is_active(self, session: Session, stored: StoredToken, at: datetime) -> bool:
        return session.id not in self._tables.endings and (
            stored.used_at is not None or at < session.expires_at
        )

    def _end_reused(self, session: Session, at: datetime) -> None:
        self._tables.endings[session.id] = at, SessionEndReason.REUSE


@caught_by(
    "test_session_is_inactive_when_it_has_expired", "test_expired_session_is_not_ended_by_reuse"
)
class RotatesInExpiredSessions(_Rotating):
    """Only endings are looked at."""

    def _is_active(self, session: Session, stored: StoredToken, at: datetime) -> bool:
        return session.id not in self._tables.endings


@caught_by("test_token_is_invalid_when_it_or_its_session_has_ended")
class RotatesAnExpiredToken(_Rotating):
    """The token's time is inclusive."""

    def _is_unexpired(self, stored: StoredToken, at: datetime) -> bool:
        return at <= stored.expires_at


@caught_by("test_rotation_is_replayed_when_the_token_has_expired_since_its_use")
class RefusesToRepeatAnExpiredToken(_Rotating):
    """A token used in its last second cannot be repeated afterwards."""

    def _is_active(self, session: Session, stored: StoredToken, at: datetime) -> bool:
        in_grace = stored.used_at and at - stored.used_at < timedelta(seconds=10)
        if in_grace and not self._is_unexpired(stored, at):
            return False
        return super()._is_active(session, stored, at)


@caught_by("test_token_is_rotated_once")
class ExtendsTheSessionWithEachRotation(_Rotating):
    """A session can be renewed for ever."""

    def _renew(self, session: Session, at: datetime) -> Session:
        return replace(session, last_used_at=at, expires_at=at + timedelta(days=30))


@caught_by("test_token_is_rotated_once")
class ForgetsWhenASessionWasUsed(_Rotating):
    """`last_used_at` stays."""

    def _renew(self, session: Session, at: datetime) -> Session:
        return session


@caught_by("test_session_without_a_usable_token_is_not_listed")
class GivesTheNewTokenTheOldTime(_Rotating):
    """Each successor dies with the first token."""

    def _next(self, stored: StoredToken, expires_at: datetime) -> StoredToken:
        return StoredToken(stored.session, stored.expires_at)


@caught_by("test_sealed_successor_outlives_the_next_rotation")
class KeepsOneSuccessorPerSession(InMemorySessionRepository):
    """The next rotation erases what was sealed beside the token before."""

    async def rotate(self, exchange: TokenExchange) -> Rotation:
        rotation = await super().rotate(exchange)
        if rotation.outcome is RotationOutcome.ROTATED:
            tokens = self._tables.tokens
            for digest, token in tokens.items():
                if digest != exchange.old and token.session == tokens[exchange.old].session:
                    token.sealed = None
        return rotation


@caught_by("test_reuse_is_detected_at_any_later_time")
class RemovesUsedTokens(InMemorySessionRepository):
    """Only a session's latest two tokens are kept; older ones are unknown."""

    async def rotate(self, exchange: TokenExchange) -> Rotation:
        rotation = await super().rotate(exchange)
        if rotation.outcome is RotationOutcome.ROTATED:
            tokens = self._tables.tokens
            session = tokens[exchange.old].session
            for digest in [d for d in tokens if tokens[d].session == session]:
                if digest not in {exchange.old, exchange.new}:
                    del tokens[digest]
        return rotation


# Listing


class _Listing(InMemorySessionRepository):
    """Lists by what subclasses say."""

    def _is_active(self, session: Session, at: datetime) -> bool:
        return self._tables.is_active(session, at)

    def _renewable(self, token: StoredToken, at: datetime) -> bool:
        return token.used_at is None and at < token.expires_at

    def _cut(self, sessions: list[Session], at: datetime, limit: int) -> list[Session]:
        return sorted(sessions, key=lambda each: each.last_used_at, reverse=True)[:limit]

    async def list_active(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        tokens = self._tables.tokens.values()
        renewable = {token.session for token in tokens if self._renewable(token, at)}
        sessions = [
            session
            for session in self._tables.list_user_sessions(user)
            if self._is_active(session, at) and session.id in renewable
        ]
        return self._cut(sessions, at, limit)


@caught_by("test_list_active_keeps_the_latest_used_sessions_when_there_are_more")
class ListsTheFirstSessionsSorted(_Listing):
    """The limit is applied before the list is sorted."""

    def _cut(self, sessions: list[Session], at: datetime, limit: int) -> list[Session]:
        return super()._cut(sessions[:limit], at, limit)


@caught_by("test_list_active_keeps_the_latest_used_sessions_when_there_are_more")
class CountsEndedSessionsIntoTheLimit(_Listing):
    """Sessions that ended take the places of active ones."""

    def _is_active(self, session: Session, at: datetime) -> bool:
        return True

    def _cut(self, sessions: list[Session], at: datetime, limit: int) -> list[Session]:
        some = super()._cut(sessions, at, limit)
        return [session for session in some if self._tables.is_active(session, at)]


@caught_by("test_expired_session_is_not_listed")
class ListsExpiredSessions(_Listing):
    """Only the refresh token's time is looked at."""

    def _is_active(self, session: Session, at: datetime) -> bool:
        return session.id not in self._tables.endings


@caught_by("test_session_is_listed_by_its_newest_token")
class ListsSessionsByAnyToken(_Listing):
    """A used token that has not expired keeps the session listed."""

    def _renewable(self, token: StoredToken, at: datetime) -> bool:
        return at < token.expires_at


@caught_by("test_session_without_a_usable_token_is_not_listed")
class ListsSessionsThatCannotBeRenewed(_Listing):
    """The refresh token's time is not looked at."""

    def _renewable(self, token: StoredToken, at: datetime) -> bool:
        return True


# Being active


@caught_by("test_session_is_ended_by_its_user_once")
class IgnoresWhoseSessionIsLive(InMemorySessionRepository):
    """The user is not in the condition."""

    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        stored = self._tables.sessions.get(session)
        return stored is not None and self._tables.is_active(stored, at)


@caught_by("test_session_is_inactive_when_it_has_expired")
class LetsASessionLiveAtItsLastMoment(InMemorySessionRepository):
    """`expires_at` is inclusive."""

    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        moment = timedelta(microseconds=1)
        return await super().is_active(session, user=user, at=at - moment if at.year > 1 else at)


@caught_by("test_change_by_another_process_is_visible")
class CachesLiveSessions(InMemorySessionRepository):
    """Another process ends the session, and this one accepts it until expiry."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._live: set[tuple[SessionId, UserId]] = set()

    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        if (session, user) in self._live and at < self._tables.sessions[session].expires_at:
            return True
        active = await super().is_active(session, user=user, at=at)
        if active:
            self._live.add((session, user))
        return active

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        self._live.discard((session, user))
        return await super().end(session, user=user, reason=reason, at=at)


# Addresses


class _Familiar(InMemorySessionRepository):
    """Compares addresses by `_site`."""

    def _site(self, address: str) -> str:
        raise NotImplementedError

    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        site = self._site(address)
        return any(
            self._site(each.address) == site for each in self._tables.list_user_sessions(user)
        )


@caught_by("test_address_stays_familiar_to_its_user_alone")
class ComparesWholeAddresses(_Familiar):
    """An IPv6 client changes its address every day."""

    def _site(self, address: str) -> str:
        return address.removeprefix("::ffff:")


@caught_by("test_ipv4_address_is_familiar_in_every_spelling")
class ComparesAddressesAsTheyAreWritten(_Familiar):
    """An IPv4 address in an IPv6 one is another."""

    def _site(self, address: str) -> str:
        return "2001:db8::" if address.startswith("2001:db8::") else address


@caught_by("test_addresses_of_all_sessions_stay_familiar")
class RemembersTheLastAddress(InMemorySessionRepository):
    """A column of the account with one address."""

    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        mine = self._tables.list_user_sessions(user)[-1:]
        return bool(mine) and mine[0].address == address


@caught_by("test_address_stays_familiar_to_its_user_alone")
class ForgetsAddressesOfEndedSessions(InMemorySessionRepository):
    """Only active sessions make an address familiar."""

    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        ended = self._tables.endings
        active = [each for each in self._tables.list_user_sessions(user) if each.id not in ended]
        return bool(active) and await super().has_signed_in_from(user, address)


# Ending


@caught_by("test_session_is_ended_by_its_user_once")
class EndsTheSessionsOfAnyUser(InMemorySessionRepository):
    """The user is not in the condition."""

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        stored = self._tables.sessions.get(session)
        return bool(stored and self._tables.end([stored], reason, at))


@caught_by("test_session_is_ended_by_its_user_once")
class EndsASessionTwice(InMemorySessionRepository):
    """The second end succeeds too."""

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        self._tables.endings.pop(session, None)
        return await super().end(session, user=user, reason=reason, at=at)


@caught_by("test_ending_is_never_overwritten")
class OverwritesTheFirstEnding(InMemorySessionRepository):
    """The second end fails, and yet its time and reason are stored."""

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        ended = await super().end(session, user=user, reason=reason, at=at)
        if session in self._tables.endings:
            self._tables.endings[session] = at, reason
        return ended


@caught_by("test_expired_session_is_not_ended")
class EndsExpiredSessions(InMemorySessionRepository):
    """Only endings are looked at."""

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        stored = self._tables.sessions.get(session)
        if stored is None or stored.user != user or session in self._tables.endings:
            return False
        self._tables.endings[session] = at, reason
        return True


@caught_by("test_parallel_endings_of_a_session_succeed_once")
class ReadsASessionBeforeItEnds(InMemorySessionRepository):
    """Each of many finds the session active."""

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        active = await self.is_active(session, user=user, at=at)
        await asyncio.sleep(0)
        if active:
            self._tables.endings[session] = at, reason
        return active


@caught_by("test_ended_since_returns_endings_from_that_time_on", "test_reuse_ends_the_session")
class LeavesOutSessionsEndedThen(InMemorySessionRepository):
    """`ended_since` is exclusive."""

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        return {each: when for each, (when, _) in self._tables.endings.items() if when > at}


@caught_by("test_every_ending_is_kept_with_its_time_and_reason")
class ReturnsOnlySessionsThatUsersEnded(InMemorySessionRepository):
    """Sessions that ended with an account or a password are left out."""

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        by_users = {SessionEndReason.REVOKED, SessionEndReason.SIGNED_OUT, SessionEndReason.REUSE}
        return {
            session: when
            for session, (when, reason) in self._tables.endings.items()
            if when >= at and reason in by_users
        }


@caught_by("test_endings_are_returned_however_many_there_are")
class ReturnsTheFirst100Endings(InMemorySessionRepository):
    """A query with a limit."""

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        return dict([*(await super().ended_since(at)).items()][:100])


# Purging


@caught_by("test_purged_session_is_unknown")
class LeavesTokensOfForgottenSessions(InMemorySessionRepository):
    """A missing foreign key removes no tokens."""

    async def get_by_refresh_token(self, token: TokenDigest) -> Session | None:
        stored = self._tables.tokens.get(token)
        return self._tables.sessions.get(stored.session) if stored else None

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        tokens = dict(self._tables.tokens)
        count = await super().purge_ended(over_by=over_by, limit=limit)
        self._tables.tokens.update(tokens)
        return count


@caught_by("test_session_is_over_at_the_earlier_of_its_end_and_expiry")
class ForgetsByExpiryAlone(InMemorySessionRepository):
    """A session that ended is kept until it expires."""

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        endings, self._tables.endings = self._tables.endings, {}
        count = await super().purge_ended(over_by=over_by, limit=limit)
        sessions = self._tables.sessions
        self._tables.endings = {key: value for key, value in endings.items() if key in sessions}
        return count


@caught_by("test_purge_ended_keeps_a_session_until_it_is_over")
class ForgetsSessionsThatCannotBeRenewed(InMemorySessionRepository):
    """Access tokens may still be in use, and the address becomes unfamiliar."""

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        tables = self._tables
        for session in tables.sessions.values():
            mine = [token for token in tables.tokens.values() if token.session == session.id]
            if all(token.expires_at <= over_by for token in mine):
                tables.endings.setdefault(session.id, (over_by, SessionEndReason.REVOKED))
        return await super().purge_ended(over_by=over_by, limit=limit)


@caught_by("test_purge_ended_removes_at_most_its_limit_of_rows")
class ForgetsSessionsWithoutALimit(InMemorySessionRepository):
    """One call removes all of them."""

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        return await super().purge_ended(over_by=over_by, limit=10**6)


@caught_by("test_purge_ended_removes_at_most_its_limit_of_rows")
class ForgetsSessionsWithAllOfTheirTokens(InMemorySessionRepository):
    """The limit counts sessions alone."""

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        return await super().purge_ended(over_by=over_by, limit=limit + len(self._tables.tokens))
