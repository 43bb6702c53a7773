"""Sessions and refresh tokens in dictionaries."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ordergate.adapters.memory.tables import StoredToken, Tables
from ordergate.application.ports.sessions import (
    Forgotten,
    NewSession,
    Rotation,
    RotationOutcome,
    SessionRepository,
    TokenExchange,
)
from ordergate.domain.address import find_client_network
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import UserId


class InMemorySessionRepository(SessionRepository):
    """Sessions by id, and refresh tokens by digest."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        """Store session and token if the hash is unchanged."""
        user = self._tables.users.get(new.session.user)
        if user is None or user.password_hash != new.password_hash:
            return None
        at = new.session.started_at
        active = [
            s for s in self._tables.list_user_sessions(user.id) if self._tables.is_active(s, at)
        ]
        active.sort(key=lambda session: session.expires_at, reverse=True)
        surplus = self._tables.end(active[limit - 1 :], SessionEndReason.TOO_MANY, at)
        self._tables.sessions[new.session.id] = new.session
        self._tables.tokens[new.token] = StoredToken(new.session.id, new.token_expires_at)
        return surplus

    async def get_by_refresh_token(self, token: TokenDigest) -> Session | None:
        """Look up the digest."""
        stored = self._tables.tokens.get(token)
        return self._tables.sessions[stored.session] if stored else None

    async def is_used(self, token: TokenDigest) -> bool:
        """Look up the digest."""
        stored = self._tables.tokens.get(token)
        return stored is not None and stored.used_at is not None

    async def rotate(self, exchange: TokenExchange) -> Rotation:
        """Mark the old token and store the new one."""
        stored = self._tables.tokens.get(exchange.old)
        session = await self.get_by_refresh_token(exchange.old)
        if stored is None or session is None or not self._tables.is_active(session, exchange.at):
            return Rotation(RotationOutcome.INVALID)
        if stored.used_at is not None:
            if exchange.at - stored.used_at < exchange.grace:
                return Rotation(RotationOutcome.REPLAYED, stored.sealed)
            self._tables.end([session], SessionEndReason.REUSE, exchange.at)
            return Rotation(RotationOutcome.REUSED)
        if stored.expires_at <= exchange.at:
            return Rotation(RotationOutcome.INVALID)
        stored.used_at, stored.sealed = exchange.at, exchange.sealed
        self._tables.tokens[exchange.new] = StoredToken(session.id, exchange.expires_at)
        self._tables.sessions[session.id] = replace(session, last_used_at=exchange.at)
        return Rotation(RotationOutcome.ROTATED, exchange.sealed)

    async def list_active(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Scan all sessions."""
        renewable = {
            token.session
            for token in self._tables.tokens.values()
            if token.used_at is None and at < token.expires_at
        }
        sessions = [
            session
            for session in self._tables.list_user_sessions(user)
            if self._tables.is_active(session, at) and session.id in renewable
        ]
        return sorted(sessions, key=lambda session: session.last_used_at, reverse=True)[:limit]

    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Look up the id."""
        stored = self._tables.sessions.get(session)
        return stored is not None and stored.user == user and self._tables.is_active(stored, at)

    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        """Scan all sessions."""
        site = find_client_network(address)
        sessions = self._tables.list_user_sessions(user)
        return any(find_client_network(session.address) == site for session in sessions)

    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Look up the digest."""
        stored = self._tables.tokens.get(token)
        return stored.sealed if stored else None

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        """End the session if the user has it."""
        mine = [stored for stored in self._tables.list_user_sessions(user) if stored.id == session]
        return bool(self._tables.end(mine, reason, at))

    async def end_all(
        self, user: UserId, *, reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        """End the sessions of the user."""
        return self._tables.end(self._tables.list_user_sessions(user), reason, at)

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Scan all ended sessions."""
        return {session: when for session, (when, _) in self._tables.endings.items() if when >= at}

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        """Scan all sessions, then their tokens."""
        tables = self._tables
        over = {
            session.id: None
            for session in tables.sessions.values()
            if session.expires_at <= over_by
            or (session.id in tables.endings and tables.endings[session.id][0] <= over_by)
        }
        tokens = [digest for digest, token in tables.tokens.items() if token.session in over]
        for digest in tokens[:limit]:
            del tables.tokens[digest]
        sessions = list(over)[: max(0, limit - len(tokens))]
        for session in sessions:
            del tables.sessions[session]
            tables.endings.pop(session, None)
        return Forgotten(len(sessions), len(tokens[:limit]))
