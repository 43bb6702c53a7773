"""Compare identity with a model, driven in any order by hypothesis."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from ordergate.application.errors import (
    ApplicationError,
    InvalidCredentials,
    InvalidGrant,
    InvalidToken,
    SessionNotFound,
    WrongPassword,
)
from ordergate.application.ports.storage import Storage
from ordergate.application.sessions.authenticate_user import IssuedTokens
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.session import SessionId
from ordergate.domain.user import User
from tests.support.identity.identity_harness import HOME, NEW_PASSWORD, PASSWORD, IdentityHarness
from tests.support.properties import at_most

T = TypeVar("T")

SESSIONS = 4
IDLE = timedelta(days=10)
LIFETIME = timedelta(days=30)
GRACE = timedelta(seconds=10)
ACCESS = timedelta(seconds=900)


@dataclass
class ModelSession:
    """The model of a session."""

    id: SessionId
    expires_at: datetime
    renewable_until: datetime
    ended: bool = False


@dataclass
class ModelToken:
    """The model of a refresh token and its access token."""

    session: ModelSession
    refresh: RefreshToken
    refresh_expires_at: datetime
    access: str
    access_expires_at: datetime
    used_at: datetime | None = None
    successor: "ModelToken | None" = None


class IdentityMachine(RuleBasedStateMachine):
    """Signs in, refreshes, reuses, revokes, changes the password and lets time pass."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.harness = IdentityHarness(self.storage(), failures=1_000_000, most_sessions=SESSIONS)
        self.password = PASSWORD
        self.sessions: list[ModelSession] = []
        self.alice: User = self.run(self.harness.add_alice())

    def storage(self) -> Storage:
        """Return a storage that is migrated, open and empty."""
        raise NotImplementedError

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    def fails(self, work: Awaitable[object], error: type[ApplicationError]) -> None:
        try:
            self.run(work)
        except error:
            return
        raise AssertionError(f"no {error.__name__}")

    @property
    def now(self) -> datetime:
        return self.harness.clock.now()

    def is_active(self, session: ModelSession) -> bool:
        return not session.ended and self.now < session.expires_at

    def end(self, *sessions: ModelSession) -> None:
        for session in sessions:
            session.ended = session.ended or self.is_active(session)

    def model(self, grant: IssuedTokens, session: ModelSession) -> ModelToken:
        session.renewable_until = self.now + IDLE
        return ModelToken(
            session,
            grant.refresh,
            self.now + IDLE,
            grant.access.value,
            self.now + ACCESS,
        )

    @rule(target=tokens)
    def sign_in(self) -> ModelToken:
        self.harness.clock.advance(seconds=1)  # every session has its own expiry
        active = [session for session in self.sessions if self.is_active(session)]
        active.sort(key=lambda session: session.expires_at)
        self.end(*active[: max(0, len(active) - SESSIONS + 1)])
        grant = self.run(self.harness.sign_in(password=self.password))
        caller = self.run(self.harness.caller(grant))
        assert caller.session is not None
        session = ModelSession(caller.session, self.now + LIFETIME, self.now + IDLE)
        self.sessions.append(session)
        return self.model(grant, session)

    @rule(password=st.sampled_from(["wrong", "", "\0", PASSWORD, NEW_PASSWORD]))
    def guess(self, password: str) -> None:
        if password != self.password:
            self.fails(self.harness.sign_in(password=password), InvalidCredentials)

    @rule(target=tokens, token=tokens, clients=st.integers(1, 3))
    def refresh(self, token: ModelToken, clients: int) -> ModelToken:
        return self.refreshed(token, clients)

    @rule(target=tokens, token=tokens, seconds=st.sampled_from([0, 9.5, 10]))
    def refresh_again(self, token: ModelToken, seconds: float) -> ModelToken:
        self.refreshed(token)
        self.harness.clock.advance(seconds=seconds)
        return self.refreshed(token)

    def refreshed(self, token: ModelToken, clients: int = 1) -> ModelToken:
        async def refresh_in_parallel() -> list[IssuedTokens | BaseException]:
            return await asyncio.gather(
                *(self.harness.refresh(token.refresh.text) for _ in range(clients)),
                return_exceptions=True,
            )

        answers = self.run(refresh_in_parallel())
        active = self.is_active(token.session)
        if active and token.used_at is not None and self.now - token.used_at >= GRACE:
            self.end(token.session)
            active = False
        expired = token.used_at is None and self.now >= token.refresh_expires_at
        if not active or expired:
            assert {type(answer) for answer in answers} == {InvalidGrant}
            return token
        grants = [answer for answer in answers if isinstance(answer, IssuedTokens)]
        assert len(grants) == clients
        assert len({grant.refresh for grant in grants}) == 1
        if token.successor is None:
            token.used_at = self.now
            token.successor = self.model(grants[0], token.session)
        newest = token
        while newest.successor is not None:
            newest = newest.successor
        assert grants[0].refresh == newest.refresh
        return newest

    @rule(token=tokens)
    def use(self, token: ModelToken) -> None:
        work = self.harness.identify_caller(token.access)
        if self.is_active(token.session) and self.now < token.access_expires_at:
            assert self.run(work).session == token.session.id
        else:
            self.fails(work, InvalidToken)

    @rule(token=tokens, by_access_token=st.booleans())
    def revoke(self, token: ModelToken, by_access_token: bool) -> None:
        text = token.access if by_access_token else token.refresh.text
        self.run(self.harness.revoke_token(text, client_id=None, origin=HOME))
        if not by_access_token or self.now < token.access_expires_at:
            self.end(token.session)

    @rule(token=tokens)
    def end_session(self, token: ModelToken) -> None:
        work = self.harness.end_session(token.session.id, user=self.alice.id, origin=HOME)
        if self.is_active(token.session):
            self.run(work)
            self.end(token.session)
        else:
            self.fails(work, SessionNotFound)

    @rule()
    def end_all(self) -> None:
        self.run(self.harness.end_all_sessions(user=self.alice.id, origin=HOME))
        self.end(*self.sessions)

    @rule(token=tokens, current=st.sampled_from([PASSWORD, NEW_PASSWORD]))
    def change_password(self, token: ModelToken, current: str) -> None:
        if not self.is_active(token.session) or self.now >= token.access_expires_at:
            return
        caller = self.run(self.harness.identify_caller(token.access))
        new = NEW_PASSWORD if self.password == PASSWORD else PASSWORD
        work = self.harness.change_password(current, new, caller=caller, origin=HOME)
        if current != self.password:
            self.fails(work, WrongPassword)
            return
        self.run(work)
        self.password = new
        self.end(*(session for session in self.sessions if session is not token.session))

    @rule(
        by=st.sampled_from([{"seconds": 1}, {"seconds": 10}, {"minutes": 15}, {"days": 9}]),
    )
    def advance_clock(self, by: dict[str, float]) -> None:
        self.harness.clock.advance(**by)

    @invariant()
    def active_sessions_match_the_model(self) -> None:
        listed = self.run(self.harness.list_sessions(user=self.alice.id))
        expected = {
            session.id
            for session in self.sessions
            if self.is_active(session) and self.now < session.renewable_until
        }
        assert {session.id for session in listed} == expected

    def teardown(self) -> None:
        self.run(self.harness.storage.close())
        self.loop.close()


STATEFUL = settings(at_most(60), stateful_step_count=30)


class FileIdentityMachine(IdentityMachine):
    """The same on a storage in a folder of its own."""

    def make_storage(self, folder: Path) -> Storage:
        raise NotImplementedError

    def storage(self) -> Storage:
        self.folder = TemporaryDirectory()
        storage = self.make_storage(Path(self.folder.name))
        self.run(storage.migrate())
        self.run(storage.open())
        return storage

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()
