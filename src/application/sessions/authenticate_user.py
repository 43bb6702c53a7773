"""Sign in with a user name and a password."""

from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from ordergate.application.auditing import record_ended, record_throttled
from ordergate.application.errors import InvalidCredentials, StorageUnavailable
from ordergate.application.find_account import find_account
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.passwords import (
    PasswordHasher,
    Requester,
    Throttle,
    Verification,
    make_sign_in_key,
)
from ordergate.application.ports.sessions import NewSession, SessionRepository
from ordergate.application.ports.tokens import AccessToken, Caller, TokenIssuer
from ordergate.application.ports.users import UserRepository
from ordergate.domain.errors import InvalidPassword
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.session import Session, SessionEndReason, SessionId, SessionRules
from ordergate.domain.user import Password, PasswordHash, User, UserId

_NOBODY = UserId(0)
_NO_PASSWORD = Password("the password of no account")


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """An access token, its scope, and a refresh token."""

    access: AccessToken
    refresh: RefreshToken
    scope: frozenset[str]


@dataclass(frozen=True, slots=True)
class AuthenticateUser:
    """Begin a session for a user name and a password.

    An unknown name, or text that cannot be a name or a password, costs one hash like a wrong
    password. A weak hash is replaced after a correct password.

    Raises:
        InvalidCredentials: the name or the password is incorrect.
        Throttled: too many guesses failed; nothing was hashed.
        Overloaded: the hashing queue is full.
    """

    users: UserRepository
    sessions: SessionRepository
    hasher: PasswordHasher
    tokens: TokenIssuer
    throttle: Throttle
    clock: Clock
    audit: Audit
    rules: SessionRules

    async def __call__(
        self,
        username: str,
        password: str,
        *,
        client_id: str,
        scope: frozenset[str],
        origin: Origin,
    ) -> IssuedTokens:
        found = await find_account(self.users, username)
        known = found.id if found else None
        event = AuditEvent.SIGN_IN_THROTTLED
        with record_throttled(self.audit, event, origin=origin, user=known):
            user = await self._verify_password(found, username, password, origin)
        grant = await self._start_session(user, client_id, scope, origin) if user else None
        if grant is None:
            self.audit.record(AuditEvent.SIGN_IN_REFUSED, origin=origin, user=known)
            raise InvalidCredentials
        return grant

    async def _start_session(
        self, user: User, client_id: str, scope: frozenset[str], origin: Origin
    ) -> IssuedTokens | None:
        """Begin a session, unless the password was changed meanwhile."""
        now = self.clock.now()
        session = Session(
            id=SessionId(uuid4().hex),
            user=user.id,
            client_id=client_id,
            address=origin.address,
            scope=scope,
            started_at=now,
            last_used_at=now,
            expires_at=now + self.rules.lifetime,
        )
        refresh = RefreshToken.new()
        surplus = await self.sessions.start(
            NewSession(
                session,
                refresh.digest,
                token_expires_at=now + self.rules.idle,
                password_hash=user.password_hash,
            ),
            limit=self.rules.limit,
        )
        if surplus is None:
            return None
        self.audit.record(AuditEvent.SIGNED_IN, origin=origin, user=user.id, session=session.id)
        record_ended(self.audit, surplus, SessionEndReason.TOO_MANY, user=user.id, origin=origin)
        caller = Caller(user.id, client_id, scope, session.id)
        return IssuedTokens(self.tokens.issue(caller, until=session.expires_at), refresh, scope)

    async def _verify_password(
        self, user: User | None, username: str, password: str, origin: Origin
    ) -> User | None:
        """Return the user with the stored hash if the password is correct."""
        familiar = await self.sessions.has_signed_in_from(
            user.id if user else _NOBODY, origin.address
        )
        requester = Requester.from_client(origin.address, username, known=familiar)
        verification = await self.throttle.guard(
            make_sign_in_key(username),
            origin.address,
            partial(self._compare, password, user, requester),
            familiar=familiar,
        )
        if user is None or not verification.matches:
            return None
        return await self._upgrade_hash(user, password, verification.upgraded, requester)

    async def _compare(
        self, password: str, user: User | None, requester: Requester
    ) -> Verification:
        """Compare the password; do the same work without a hash or password."""
        try:
            guess, stored = Password.guess(password), user.password_hash if user else None
        except InvalidPassword:
            guess, stored = _NO_PASSWORD, None
        return await self.hasher.verify(guess, stored, requester)

    async def _upgrade_hash(
        self, user: User, password: str, new: PasswordHash | None, requester: Requester
    ) -> User | None:
        if new is None:
            return user
        try:
            replaced = await self.users.replace_password_hash(
                user.id, old=user.password_hash, new=new
            )
        except StorageUnavailable:
            return user  # the next sign-in upgrades the hash
        if replaced:
            return replace(user, password_hash=new)
        # Another sign-in upgraded the hash, or the password was changed.
        current = await self.users.get(user.id)
        again = await self._compare(password, current, requester)  # closed: the same work
        return current if again.matches else None
