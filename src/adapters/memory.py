"""The whole storage in dictionaries: for tests and demonstrations, and to read before writing one.

Every method does its work without an `await` in the middle, so on one event loop each is atomic.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

from application.errors import OrderIdTaken, OrdersOpen, StorageNotEmpty, UsernameTaken
from application.ports.orders import IdempotencyKey, OrderRepository, Position, StaffOrders
from application.ports.sessions import Rotation, SessionRepository, Verdict
from application.ports.storage import BulkLoader, Storage
from application.ports.users import UserRepository
from application.refresh_token import TokenDigest
from domain.address import site_of
from domain.order import Order, OrderId, OrderStatus
from domain.session import Ending, Session, SessionId
from domain.user import PasswordHash, User, UserId, Username


@dataclass(slots=True)
class StoredToken:
    """A refresh token: when it dies, and once it was used, when that was and its successor."""

    session: SessionId
    expires_at: datetime
    used_at: datetime | None = None
    sealed: bytes | None = None


@dataclass(slots=True)
class Tables:
    """What is stored."""

    users: dict[UserId, User] = field(default_factory=dict)
    closed: set[UserId] = field(default_factory=set)
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    endings: dict[SessionId, tuple[datetime, Ending]] = field(default_factory=dict)
    tokens: dict[TokenDigest, StoredToken] = field(default_factory=dict)
    orders: dict[tuple[UserId, OrderId], Order] = field(default_factory=dict)
    subjects: dict[tuple[str, str], UserId] = field(default_factory=dict)
    keys: dict[tuple[UserId, str], tuple[OrderId, datetime]] = field(default_factory=dict)

    def is_live(self, session: Session, at: datetime) -> bool:
        """Say whether a session has neither ended nor expired."""
        return session.id not in self.endings and at < session.expires_at

    def end(self, sessions: Iterable[Session], why: Ending, at: datetime) -> list[SessionId]:
        """End those that are live, and return which."""
        ended = [session.id for session in sessions if self.is_live(session, at)]
        self.endings.update((session, (at, why)) for session in ended)
        return ended

    def sessions_of(self, user: UserId) -> list[Session]:
        """Return every session of a user."""
        return [session for session in self.sessions.values() if session.user == user]


class InMemoryUserRepository(UserRepository):
    """Accounts by id."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find(self, username: Username) -> User | None:
        """Look through all."""
        users = self._tables.users.values()
        return next((user for user in users if user.username == username), None)

    async def get(self, user_id: UserId) -> User | None:
        """Look the id up."""
        return self._tables.users.get(user_id)

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Open the account under the next free id."""
        if await self.find(username):
            raise UsernameTaken
        user_id = self._free_id()
        user = self._tables.users[user_id] = User(user_id, username, password_hash)
        return user

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Swap the hash if it is still the old one."""
        user = self._tables.users.get(user_id)
        if user is None or user.password_hash != old:
            return False
        self._tables.users[user_id] = replace(user, password_hash=new)
        return True

    async def change_password(
        self,
        user_id: UserId,
        *,
        old: PasswordHash,
        new: PasswordHash,
        keep: SessionId | None,
        at: datetime,
    ) -> Sequence[SessionId] | None:
        """Swap the hash and end the other sessions."""
        if not await self.replace_password_hash(user_id, old=old, new=new):
            return None
        others = [s for s in self._tables.sessions_of(user_id) if s.id != keep]
        return self._tables.end(others, Ending.PASSWORD_CHANGED, at)

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        """Forget the account and remember its id."""
        user = self._tables.users.get(user_id)
        if user is None or user.password_hash != password_hash:
            return None
        orders = self._tables.orders.values()
        if any(order.owner == user_id and order.status.is_open for order in orders):
            raise OrdersOpen
        del self._tables.users[user_id]
        self._tables.closed.add(user_id)
        return self._tables.end(self._tables.sessions_of(user_id), Ending.ACCOUNT_CLOSED, at)

    async def of_subject(self, issuer: str, subject: str) -> UserId:
        """Look the pair up, or keep it with the next free id."""
        if (issuer, subject) not in self._tables.subjects:
            self._tables.subjects[issuer, subject] = self._free_id()
        return self._tables.subjects[issuer, subject]

    def _free_id(self) -> UserId:
        tables = self._tables
        taken = tables.users.keys() | tables.closed | set(tables.subjects.values())
        return next(UserId(i) for i in count(1) if i not in taken)


class InMemorySessionRepository(SessionRepository):
    """Sessions by id, and refresh tokens by digest."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def start(
        self,
        session: Session,
        token: TokenDigest,
        *,
        token_expires_at: datetime,
        password_hash: PasswordHash,
    ) -> bool:
        """Store both if the hash still is this."""
        user = self._tables.users.get(session.user)
        if user is None or user.password_hash != password_hash:
            return False
        self._tables.sessions[session.id] = session
        self._tables.tokens[token] = StoredToken(session.id, token_expires_at)
        return True

    async def of_token(self, token: TokenDigest) -> Session | None:
        """Look the digest up."""
        stored = self._tables.tokens.get(token)
        return self._tables.sessions[stored.session] if stored else None

    async def is_used(self, token: TokenDigest) -> bool:
        """Look the digest up."""
        stored = self._tables.tokens.get(token)
        return stored is not None and stored.used_at is not None

    async def rotate(
        self,
        old: TokenDigest,
        new: TokenDigest,
        *,
        sealed: bytes,
        at: datetime,
        expires_at: datetime,
        grace: timedelta,
    ) -> Rotation:
        """Mark the old token and store the new one."""
        stored = self._tables.tokens.get(old)
        session = await self.of_token(old)
        if stored is None or session is None or not self._tables.is_live(session, at):
            return Rotation(Verdict.DEAD)
        if stored.used_at is not None:
            if at - stored.used_at < grace:
                return Rotation(Verdict.REPEATED, stored.sealed)
            self._tables.end([session], Ending.REUSE, at)
            return Rotation(Verdict.REUSED)
        if stored.expires_at <= at:
            return Rotation(Verdict.DEAD)
        stored.used_at, stored.sealed = at, sealed
        self._tables.tokens[new] = StoredToken(session.id, expires_at)
        self._tables.sessions[session.id] = replace(session, last_used_at=at)
        return Rotation(Verdict.ROTATED, sealed)

    async def live(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Look through all."""
        renewable = {
            token.session
            for token in self._tables.tokens.values()
            if token.used_at is None and at < token.expires_at
        }
        sessions = [
            session
            for session in self._tables.sessions_of(user)
            if self._tables.is_live(session, at) and session.id in renewable
        ]
        return sorted(sessions, key=lambda session: session.last_used_at, reverse=True)[:limit]

    async def is_live(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Look the id up."""
        stored = self._tables.sessions.get(session)
        return stored is not None and stored.user == user and self._tables.is_live(stored, at)

    async def is_familiar(self, user: UserId, address: str) -> bool:
        """Look through all."""
        site = site_of(address)
        return any(site_of(s.address) == site for s in self._tables.sessions_of(user))

    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Look the digest up."""
        stored = self._tables.tokens.get(token)
        return stored.sealed if stored else None

    async def end(self, session: SessionId, *, user: UserId, why: Ending, at: datetime) -> bool:
        """End it if it is the user's."""
        mine = [stored for stored in self._tables.sessions_of(user) if stored.id == session]
        return bool(self._tables.end(mine, why, at))

    async def end_all(self, user: UserId, *, why: Ending, at: datetime) -> Sequence[SessionId]:
        """End those of the user."""
        return self._tables.end(self._tables.sessions_of(user), why, at)

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Look through all endings."""
        return {session: when for session, (when, _) in self._tables.endings.items() if when >= at}


class InMemoryOrderRepository(OrderRepository):
    """Orders by owner and id: the owner is part of the key."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Look the key up."""
        return self._tables.orders.get((owner, order_id))

    async def page(
        self,
        *,
        owner: UserId,
        status: OrderStatus | None = None,
        since: datetime | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Sequence[Order]:
        """Look through all."""
        orders = [
            order
            for order in self._tables.orders.values()
            if order.owner == owner
            and status in {None, order.status}
            and (since is None or order.placed_at >= since)
            and (before is None or _place(order) < (before.placed_at, before.id))
        ]
        return sorted(orders, key=_place, reverse=True)[:limit]

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        """Look both keys up, and store."""
        tables = self._tables
        if order.owner != owner:
            raise ValueError("the order is somebody else's")
        if owner not in tables.users and owner not in tables.subjects.values():
            return None
        if key:
            known, expires_at = tables.keys.get((owner, key.value), (order.id, order.placed_at))
            if expires_at > order.placed_at:
                return tables.orders[owner, known]
        there = tables.orders.setdefault((owner, order.id), order)
        if there != order:
            raise OrderIdTaken
        if key and there is order:
            tables.keys[owner, key.value] = (order.id, key.expires_at)
        return order

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        """Replace what is under the key."""
        order = self._tables.orders.get((owner, order_id))
        if order is None:
            return None
        changed = change(order)
        changed = replace(order, status=changed.status, version=changed.version)
        self._tables.orders[owner, order_id] = changed
        return changed

    async def forget_keys(self, *, expired_by: datetime, limit: int) -> int:
        """Look through all."""
        keys = self._tables.keys
        expired = [key for key, (_, expires_at) in keys.items() if expires_at <= expired_by]
        for key in expired[:limit]:
            del keys[key]
        return len(expired[:limit])


def _place(order: Order) -> tuple[datetime, OrderId]:
    return order.placed_at, order.id


class InMemoryStaffOrders(StaffOrders):
    """The same orders."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def owners_of(self, order_id: OrderId) -> Sequence[UserId]:
        """Look through all."""
        return [owner for owner, each in self._tables.orders if each == order_id]


class InMemoryBulkLoader(BulkLoader):
    """Reads everything before it keeps anything, so that a failure leaves nothing."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Fill both dictionaries."""
        tables = self._tables
        if tables.users or tables.closed or tables.subjects or tables.orders:
            raise StorageNotEmpty
        all_users = list(users)
        all_orders = list(orders)
        new_users = {user.id: user for user in all_users}
        new_orders = {(order.owner, order.id): order for order in all_orders}
        names = {user.username for user in all_users}
        if not len(new_users) == len(names) == len(all_users) or len(new_orders) < len(all_orders):
            raise ValueError("a user or an order is given twice")
        if not new_users.keys() >= {order.owner for order in all_orders}:
            raise ValueError("an order is without its owner")
        self._tables.users.update(new_users)
        self._tables.orders.update(new_orders)


class InMemoryStorage(Storage):
    """Dictionaries, open to be looked into in `tables`; they are gone with the process."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.users = InMemoryUserRepository(self.tables)
        self.sessions = InMemorySessionRepository(self.tables)
        self.orders = InMemoryOrderRepository(self.tables)
        self.staff_orders = InMemoryStaffOrders(self.tables)
        self.loader = InMemoryBulkLoader(self.tables)
        self._secret = secrets.token_bytes(32)

    async def migrate(self) -> None:
        """Do nothing: there is no schema."""

    async def open(self) -> None:
        """Do nothing: memory is always open."""

    async def close(self) -> None:
        """Do nothing: what is stored stays as long as this object."""

    async def ping(self) -> None:
        """Answer."""

    async def secret(self) -> bytes:
        """Return what was drawn with this object."""
        return self._secret
