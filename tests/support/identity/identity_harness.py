"""All of identity around one storage: use cases with doubles."""

from datetime import timedelta

from ordergate.application.accounts.change_password import ChangePassword
from ordergate.application.accounts.close_account import CloseAccount
from ordergate.application.accounts.get_account import GetAccount
from ordergate.application.accounts.reauthenticate import Reauthenticate
from ordergate.application.accounts.register_user import RegisterUser
from ordergate.application.ports.audit import Origin
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.tokens import Caller
from ordergate.application.sessions.authenticate_user import AuthenticateUser, IssuedTokens
from ordergate.application.sessions.end_all_sessions import EndAllSessions
from ordergate.application.sessions.end_session import EndSession
from ordergate.application.sessions.identify_caller import IdentifyCaller
from ordergate.application.sessions.list_sessions import ListSessions
from ordergate.application.sessions.refresh_session import RefreshSession
from ordergate.application.sessions.revocation import ImmediateRevocation
from ordergate.application.sessions.revoke_token import RevokeToken
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.scope import Scope
from ordergate.domain.session import SessionRules
from ordergate.domain.user import Password, PasswordHash, User, Username
from tests.support.doubles import (
    CountingThrottle,
    InstantPasswordHasher,
    RecordedAudit,
    SettableClock,
    TableTokenIssuer,
)
from tests.support.program.captured_output import OUTPUT

PASSWORD = "correct horse battery staple"
NEW_PASSWORD = "four pots of tea at a time"
OUTPUT.secrets.update({PASSWORD, NEW_PASSWORD})
EVERY_SCOPE: frozenset[str] = frozenset(Scope)
HOME = Origin("192.0.2.1", "request at home")
ELSEWHERE = Origin("198.51.100.7", "request elsewhere")


class IdentityHarness:
    """`alice` has an account.

    Sessions idle for 10 days and live for 30. The grace time is 10 s.

    After so many `failures` an account is slowed, and after twice as many an address.
    """

    def __init__(self, storage: Storage, *, failures: int = 3, most_sessions: int = 9) -> None:
        self.storage = storage
        self.clock = SettableClock()
        self.hasher = InstantPasswordHasher(work=2)
        self.tokens = TableTokenIssuer(self.clock)
        self.throttle = CountingThrottle(
            self.clock, per_account=failures, per_address=2 * failures, window=timedelta(seconds=60)
        )
        self.audit = RecordedAudit()
        rules = SessionRules(
            idle=timedelta(days=10),
            lifetime=timedelta(days=30),
            grace=timedelta(seconds=10),
            limit=most_sessions,
        )
        passwords = PasswordRules(min_length=15, common={"passwordpassword1"})
        users, sessions, clock, audit = storage.users, storage.sessions, self.clock, self.audit
        self.register_user = RegisterUser(users, self.hasher, passwords, self.throttle, audit)
        self.authenticate_user = AuthenticateUser(
            users, sessions, self.hasher, self.tokens, self.throttle, clock, audit, rules
        )
        self.refresh_session = RefreshSession(
            sessions, self.tokens, clock, audit, rules, EVERY_SCOPE
        )
        self.revoke_token = RevokeToken(sessions, self.tokens, clock, audit, revocable=True)
        self.identify_caller = IdentifyCaller(self.tokens, ImmediateRevocation(sessions, clock))
        self.list_sessions = ListSessions(sessions, clock)
        self.end_session = EndSession(sessions, clock, audit)
        self.end_all_sessions = EndAllSessions(sessions, clock, audit)
        self.get_account = GetAccount(users)
        self.reauthenticate = Reauthenticate(users, self.hasher, self.throttle, audit)
        self.change_password = ChangePassword(
            users, self.hasher, self.reauthenticate, passwords, clock, audit
        )
        self.close_account = CloseAccount(users, self.reauthenticate, clock, audit)

    async def add_alice(self, password_hash: PasswordHash | None = None) -> User:
        stored = password_hash or await self.hasher.hash(Password(PASSWORD))
        return await self.storage.users.add(Username("alice"), stored)

    async def sign_in(
        self,
        username: str = "alice",
        password: str = PASSWORD,
        *,
        client_id: str = "shop",
        scope: frozenset[str] = EVERY_SCOPE,
        origin: Origin = HOME,
    ) -> IssuedTokens:
        return await self.authenticate_user(
            username, password, client_id=client_id, scope=scope, origin=origin
        )

    async def refresh(
        self,
        token: str,
        *,
        client_id: str | None = None,
        scope: frozenset[str] | None = None,
        origin: Origin = HOME,
    ) -> IssuedTokens:
        return await self.refresh_session(token, client_id=client_id, scope=scope, origin=origin)

    async def caller(self, grant: IssuedTokens) -> Caller:
        return await self.identify_caller(grant.access.value)
