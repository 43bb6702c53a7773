"""Faults of loaders, archives, and storages as a whole."""

import secrets
from collections.abc import Iterable, Sequence
from operator import attrgetter

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.memory.archive import InMemoryArchive, _add
from ordergate.adapters.memory.orders import InMemoryBulkLoader
from ordergate.application.errors import StorageNotEmpty, StorageUnavailable
from ordergate.application.ports.archive import (
    AccountRecord,
    CopyCheckpoint,
    KeyRecord,
    R,
    Record,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.domain.order import Order
from ordergate.domain.user import User
from tests.unit.mutants.kit import ConflictingLoader, caught_by

# Loading


@caught_by("test_load_stores_nothing_when_reading_its_input_fails[StorageUnavailable]")
class TriesALoadAgain(InMemoryBulkLoader):
    """The second attempt finds the iterators exhausted, and loads nothing."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        try:
            await super().load(users, orders)
        except StorageUnavailable:
            await super().load(users, orders)


@caught_by("test_load_is_atomic_when_any_step_meets_a_conflict")
class RepeatsALoadWithoutWhatItHasRead(ConflictingLoader):
    """After a conflict with another transaction, the iterators are exhausted."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        await self.attempt(iter(users), iter(orders))


@caught_by("test_failed_load_leaves_nothing", "test_load_refuses_unreadable_users")
class LoadsWhatItHasRead(InMemoryBulkLoader):
    """Records read before the failure stay."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        if not self._tables.is_empty:
            raise StorageNotEmpty
        for user in users:
            self._tables.users[user.id] = user
        for order in orders:
            self._tables.orders[order.owner, order.id] = order


@caught_by("test_users_are_read_before_orders")
class ReadsOrdersBeforeUsers(InMemoryBulkLoader):
    """A generator of both has to make the users first."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        read = list(orders)
        await super().load(users, read)


@caught_by("test_users_and_orders_are_read_once")
class ReadsTwice(InMemoryBulkLoader):
    """The first reading counts, for a progress bar."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        sum(1 for _ in users)
        sum(1 for _ in orders)
        await super().load(users, orders)


@caught_by("test_load_refuses_inconsistent_records[one order]")
class LoadsTheLaterOfTwoOrders(InMemoryBulkLoader):
    """An upsert."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        some = list(users)
        await super().load(some, {(order.owner, order.id): order for order in orders}.values())


@caught_by("test_load_refuses_inconsistent_records[no owner]")
class LoadsOrdersWithoutTheirOwner(InMemoryBulkLoader):
    """Missing foreign key."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        some, others = list(users), list(orders)
        ids = {user.id for user in some}
        await super().load(some, [order for order in others if order.owner in ids])
        self._tables.orders.update({(order.owner, order.id): order for order in others})


@caught_by(
    "test_storage_with_a_closed_account_is_not_empty",
    "test_storage_with_an_external_account_is_not_empty",
)
class LooksOnlyForOpenAccounts(InMemoryBulkLoader):
    """A storage with closed accounts or subjects is taken for empty."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        tables = self._tables
        kept = set(tables.closed), set(tables.external)
        tables.closed, tables.external = set(), set()
        try:
            await super().load(users, orders)
        finally:
            tables.closed |= kept[0]
            tables.external |= kept[1]


# Moving


class _Placed(InMemoryArchive):
    """Reads by places that subclasses make."""

    def _place(self, number: int, record: Record) -> str:
        raise NotImplementedError

    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        records, _ = await super().read(kind, limit=10**6)
        places = [self._place(number, record) for number, record in enumerate(records)]
        behind = [
            (place, record) for place, record in zip(places, records, strict=True) if place > after
        ][:limit]
        return [record for _, record in behind], behind[-1][0] if behind else after


@caught_by("test_pages_leave_out_no_record_when_others_are_removed")
class ReadsByOffset(_Placed):
    """A record that is removed between two pages hides another."""

    def _place(self, number: int, record: Record) -> str:
        return f"{number:09}"


@caught_by("test_longest_records_have_cursors")
class WritesLongPlaces(_Placed):
    """A place in hexadecimal digits is twice as long, more in UTF-8."""

    def _place(self, number: int, record: Record) -> str:
        match record:
            case SubjectRecord():
                return f"{number:09}" + (record.issuer + record.subject).encode().hex()
            case _:
                return f"{number:09}"


@caught_by("test_pages_leave_out_no_record_at_their_ends")
class ReadsOrdersByTheirOwner(_Placed):
    """Orders of one owner have one place."""

    def _place(self, number: int, record: Record) -> str:
        return f"{record.owner:019}" if isinstance(record, Order) else f"{number:09}"


@caught_by("test_archive_reads_records_of_what_use_cases_stored")
class LeavesOutUsedTokens(InMemoryArchive):
    """Only usable tokens are copied, so reuse is undetected after a copy."""

    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        records, place = await super().read(kind, after=after, limit=limit)
        return [
            record
            for record in records
            if not isinstance(record, RefreshTokenRecord) or record.used_at is None
        ], place


@caught_by(
    "test_existing_record_is_not_written_again[a refresh token]",
    "test_existing_record_is_not_written_again[a session]",
    "test_existing_record_is_not_written_again[a key]",
)
class OverwritesRecords(InMemoryArchive):
    """An upsert."""

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        for record in records:
            match record:
                case RefreshTokenRecord():
                    self._tables.tokens.pop(record.digest, None)
                case SessionRecord():
                    self._tables.sessions.pop(record.session.id, None)
                case KeyRecord():
                    self._tables.keys.pop((record.owner, record.key.value), None)
                case _:
                    pass
        await super().write(records, checkpoint=checkpoint)


@caught_by("test_existing_record_is_not_written_again[an account of the same name]")
class WritesTwoAccountsOfOneName(InMemoryArchive):
    """The name is not unique."""

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        tables = self._tables
        names = {r.username for r in records if isinstance(r, AccountRecord) and r.username}
        same = {user.id: user for user in tables.users.values() if user.username in names}
        for user in same:
            del tables.users[user]
        await super().write(records, checkpoint=checkpoint)
        tables.users.update(same)


@caught_by("test_record_with_a_missing_reference_is_not_written[a session]")
class WritesSessionsWithoutTheirUser(InMemoryArchive):
    """Missing foreign key."""

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        sessions = [record for record in records if isinstance(record, SessionRecord)]
        await super().write([r for r in records if r not in sessions], checkpoint=checkpoint)
        for session, ended_at, ending in map(attrgetter("session", "ended_at", "ending"), sessions):
            self._tables.sessions[session.id] = session
            if ended_at and ending:
                self._tables.endings[session.id] = ended_at, ending


@caught_by("test_records_and_checkpoint_are_written_in_one_step")
class WritesWhatFits(InMemoryArchive):
    """Records before the refused one stay."""

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        if self._tables.checkpoint is None and not self._tables.is_empty:
            raise StorageNotEmpty
        for record in records:
            _add(self._tables, record)
        self._tables.checkpoint = checkpoint


@caught_by("test_records_and_checkpoint_are_written_in_one_step")
class WritesTheCheckpointFirst(InMemoryArchive):
    """A copy that continues after the checkpoint leaves the refused records out."""

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        if self._tables.checkpoint is None and not self._tables.is_empty:
            raise StorageNotEmpty
        self._tables.checkpoint = checkpoint
        await super().write(records, checkpoint=checkpoint)


@caught_by("test_sessions_that_were_written_are_used_like_any_others")
class WritesSessionsAsLive(InMemoryArchive):
    """A copy lets sessions live that had ended."""

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        await super().write(records, checkpoint=checkpoint)
        for record in records:
            if isinstance(record, SessionRecord):
                self._tables.endings.pop(record.session.id, None)


@caught_by("test_storage_with_an_unfinished_copy_opens_for_the_copy_alone")
class OpensWithHalfACopy(InMemoryStorage):
    """The checkpoint is not looked at."""

    async def open(self, *, unfinished: bool = False) -> None:
        await super().open(unfinished=True)


# Life


@caught_by("test_secret_is_the_same_in_every_process", "test_parallel_migrations_all_succeed")
class DrawsASecretInEachProcess(InMemoryStorage):
    """Cursors of one process are refused by another."""

    async def get_secret(self) -> bytes:
        self._drawn = getattr(self, "_drawn", None) or secrets.token_bytes(32)
        return self._drawn


@caught_by("test_secret_is_the_same_in_every_process")
class DrawsTheSecretAgainWhenMigrating(InMemoryStorage):
    """A deployment makes all cursors invalid."""

    async def migrate(self) -> None:
        self._secret = secrets.token_bytes(32)


@caught_by("test_secret_is_the_same_in_every_process")
class ReturnsAShortSecret(InMemoryStorage):
    """16 bytes."""

    async def get_secret(self) -> bytes:
        return self._secret[:16]


@caught_by("test_migrate_is_idempotent")
class MigratesByMakingTablesAnew(InMemoryStorage):
    """`DROP TABLE IF EXISTS`."""

    async def migrate(self) -> None:
        self.tables.orders.clear()


@caught_by("test_records_survive_closing_and_opening")
class LosesEverythingWhenClosed(InMemoryStorage):
    """A write never reaches the disk."""

    async def close(self) -> None:
        self.tables.users.clear()


@caught_by("test_close_is_idempotent")
class ClosesOnce(InMemoryStorage):
    """The pool is gone the second time."""

    async def close(self) -> None:
        if getattr(self, "_closed", False):
            raise StorageUnavailable("the pool is closed")
        self._closed = True
