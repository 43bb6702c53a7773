"""Sessions and refresh tokens."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ordergate.application.ports.archive import RefreshTokenRecord, SessionRecord
from ordergate.application.ports.sessions import (
    Forgotten,
    NewSession,
    Rotation,
    RotationOutcome,
    SessionRepository,
    TokenExchange,
)
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import UserId

from .database import LmdbDatabase
from .keys import encode_number, encode_time, session_key, site_prefix, token_key, tokens_prefix
from .records import SESSIONS, TOKENS, find_open_account
from .transactions import Transaction


class LmdbSessionRepository(SessionRepository):
    """Sessions by id, tokens by digest."""

    def __init__(self, database: LmdbDatabase) -> None:
        self._database = database

    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        """Write both, if the hash still is this."""
        at = new.session.started_at

        def work(view: Transaction) -> Sequence[SessionId] | None:
            if not find_open_account(view, new.session.user, new.password_hash):
                return None
            active = [each for each in list_sessions(view, new.session.user) if is_active(each, at)]
            active.sort(key=lambda each: each.session.expires_at, reverse=True)
            surplus = end_sessions(view, active[limit - 1 :], SessionEndReason.TOO_MANY, at)
            SESSIONS.put(view, SessionRecord(new.session))
            TOKENS.put(view, RefreshTokenRecord(new.token, new.session.id, new.token_expires_at))
            return surplus

        return await self._database.write(work)

    async def get_by_refresh_token(self, token: TokenDigest) -> Session | None:
        """Look the digest up, and then the session."""

        def work(view: Transaction) -> SessionRecord | None:
            stored = TOKENS.get(view, token_key(token))
            return SESSIONS.get(view, session_key(stored.session)) if stored else None

        record = self._database.read(work)
        return record.session if record else None

    async def is_used(self, token: TokenDigest) -> bool:
        """Look the digest up."""
        stored = self._database.read(lambda view: TOKENS.get(view, token_key(token)))
        return stored is not None and stored.used_at is not None

    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Look the digest up."""
        stored = self._database.read(lambda view: TOKENS.get(view, token_key(token)))
        return stored.sealed if stored else None

    async def rotate(self, exchange: TokenExchange) -> Rotation:
        """Write the old token, the new one and the session."""

        def work(view: Transaction) -> Rotation:
            token = TOKENS.get(view, token_key(exchange.old))
            record = SESSIONS.get(view, session_key(token.session)) if token else None
            if token is None or record is None or not is_active(record, exchange.at):
                return Rotation(RotationOutcome.INVALID)
            if token.used_at is not None:
                if exchange.at - token.used_at < exchange.grace:
                    return Rotation(RotationOutcome.REPLAYED, token.sealed)
                end_sessions(view, [record], SessionEndReason.REUSE, exchange.at)
                return Rotation(RotationOutcome.REUSED)
            if exchange.at >= token.expires_at:
                return Rotation(RotationOutcome.INVALID)
            session = replace(record.session, last_used_at=exchange.at)
            TOKENS.put(view, replace(token, used_at=exchange.at, sealed=exchange.sealed))
            TOKENS.put(view, RefreshTokenRecord(exchange.new, session.id, exchange.expires_at))
            SESSIONS.put(view, SessionRecord(session))
            return Rotation(RotationOutcome.ROTATED, exchange.sealed)

        return await self._database.write(work)

    async def list_active(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Read all of the user's, and the unused token of each."""

        def work(view: Transaction) -> list[Session]:
            return [
                record.session
                for record in list_sessions(view, user)
                if is_active(record, at)
                for token in TOKENS.along(view, tokens_prefix(record.session.id) + b"0")
                if at < token.expires_at
            ]

        active = self._database.read(work)
        return sorted(active, key=lambda session: session.last_used_at, reverse=True)[:limit]

    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Look the id up."""
        record = self._database.read(lambda view: SESSIONS.get(view, session_key(session)))
        return record is not None and record.session.user == user and is_active(record, at)

    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        """Look for a key that begins with the user and the site."""
        return self._database.read(lambda view: view.any(site_prefix(user, address)))

    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        """End it if it is the user's."""

        def work(view: Transaction) -> bool:
            record = SESSIONS.get(view, session_key(session))
            mine = [record] if record and record.session.user == user else []
            return bool(end_sessions(view, mine, reason, at))

        return await self._database.write(work)

    async def end_all(
        self, user: UserId, *, reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        """End those of the user."""
        return await self._database.write(
            lambda view: end_sessions(view, list_sessions(view, user), reason, at)
        )

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Read from a time on."""
        ended = self._database.read(lambda view: SESSIONS.along(view, b"e", start=encode_time(at)))
        return {each.session.id: each.ended_at for each in ended if each.ended_at}

    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        """Read the index up to a time; remove tokens, then empty sessions."""

        def work(view: Transaction) -> Forgotten:
            sessions = tokens = 0
            for record in SESSIONS.along(view, b"z", end=encode_time(over_by), limit=limit):
                room = limit - sessions - tokens
                of_session = TOKENS.along(view, tokens_prefix(record.session.id), limit=room)
                for token in of_session:
                    TOKENS.delete(view, token)
                tokens += len(of_session)
                if len(of_session) == room:
                    break
                SESSIONS.delete(view, record)
                sessions += 1
            return Forgotten(sessions, tokens)

        return await self._database.write(work)


def is_active(record: SessionRecord, at: datetime) -> bool:
    return record.ended_at is None and at < record.session.expires_at


def list_sessions(view: Transaction, user: UserId) -> list[SessionRecord]:
    return SESSIONS.along(view, b"S" + encode_number(user))


def end_sessions(
    view: Transaction, records: Iterable[SessionRecord], reason: SessionEndReason, at: datetime
) -> list[SessionId]:
    """End those that are active, and return which."""
    active = [record for record in records if is_active(record, at)]
    for record in active:
        SESSIONS.put(view, replace(record, ended_at=at, ending=reason))
    return [record.session.id for record in active]
