"""Storage contract. A subclass names the parts; see CONTRIBUTING, "A new storage"."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ordergate.application.errors import (
    UsernameTaken,
)
from ordergate.application.ports.orders import OrderQuery, OrderRepository, StaffOrders
from ordergate.application.ports.sessions import NewSession
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.order import Order, OrderId
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username
from tests.contracts.orders.orders_contract import OrderRepositoryContract
from tests.contracts.storage.archive_contract import ArchiveContract
from tests.contracts.storage.atomicity_contract import AtomicityContract
from tests.contracts.storage.loader_contract import BulkLoaderContract
from tests.contracts.storage.races_contract import RacesContract
from tests.contracts.storage.sessions_contract import SessionRepositoryContract
from tests.contracts.storage.values_contract import ValuesContract
from tests.support.builders import ALICE, AT, a_session, an_order, digest, ship
from tests.support.storage.storage_calls import active


class StorageContract(
    SessionRepositoryContract,
    OrderRepositoryContract,
    ValuesContract,
    RacesContract,
    AtomicityContract,
):
    """Every port of a storage but the optional ones.

    A storage that has all of them subclasses `WholeStorageContract`.
    """

    @pytest.fixture
    def storage(self) -> Storage:
        """Return a storage that is migrated, open and empty."""
        raise NotImplementedError

    @pytest.fixture
    def orders(self, storage: Storage) -> OrderRepository:
        self.stored = storage
        return storage.orders

    @pytest.fixture
    def staff_orders(self, storage: Storage) -> StaffOrders:
        return storage.staff_orders

    async def place_all(
        self, orders: OrderRepository, owners: Iterable[User], placed: Iterable[Order] = ()
    ) -> None:
        await self.fill(self.stored, owners, placed)

    async def empty_orders(self, orders: OrderRepository) -> None:
        await self.empty(self.stored)

    async def close_account(self, orders: OrderRepository, owner: User) -> bool:
        hash_ = owner.password_hash
        return await self.stored.users.close(owner.id, password_hash=hash_, at=AT) is not None

    @asynccontextmanager
    async def another_process(self, orders: OrderRepository) -> AsyncIterator[OrderRepository]:
        other = self.another(self.stored)
        await other.open()
        yield other.orders
        await other.close()

    # Storage

    async def test_contract_of_each_capability_runs(self, storage: Storage) -> None:
        """Every capability of a storage has its tests, and no missing one."""
        assert isinstance(self, BulkLoaderContract) == (storage.loader is not None)
        assert isinstance(self, ArchiveContract) == (storage.archive is not None)

    async def test_ping_succeeds_when_the_storage_is_open(self, storage: Storage) -> None:
        await storage.ping()

    async def test_migrate_is_idempotent(self, storage: Storage) -> None:
        await self.fill(storage, [ALICE], [an_order()])
        await storage.migrate()
        assert await storage.users.find(ALICE.username) == ALICE
        assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order()

    async def test_close_is_idempotent(self, storage: Storage) -> None:
        await storage.close()
        await storage.close()

    async def test_records_survive_closing_and_opening(self, storage: Storage) -> None:
        await storage.users.add(Username("carol"), PasswordHash("hash"))
        await storage.close()
        await storage.open()
        assert await storage.users.find(Username("carol")) is not None

    async def test_open_accounts_are_listed_by_id(self, storage: Storage) -> None:
        names = ("carol", "bob", "alice")
        carol, bob, alice = [
            await storage.users.add(Username(name), PasswordHash("hash")) for name in names
        ]
        await storage.users.get_or_create_by_subject("https://id.example", "external")
        dave = await storage.users.add(Username("dave"), PasswordHash("hash"))
        await storage.users.close(bob.id, password_hash=bob.password_hash, at=AT)
        listed = storage.users.list_accounts
        assert list(await listed(after=UserId(0), limit=9)) == [carol, alice, dave]
        assert list(await listed(after=UserId(0), limit=2)) == [carol, alice]
        assert list(await listed(after=carol.id, limit=1)) == [alice]
        assert list(await listed(after=dave.id, limit=9)) == []

    async def test_records_are_visible_to_other_processes(self, storage: Storage) -> None:
        carol = await storage.users.add(Username("carol"), PasswordHash("hash"))
        other = self.another(storage)
        await other.open()
        assert await other.users.find(Username("carol")) == carol
        await other.close()

    async def test_change_by_another_process_is_visible(self, storage: Storage) -> None:
        """A storage caches no account, session or order."""
        await self.fill(storage, [ALICE], [an_order()])
        session, old = a_session(user=ALICE.id), ALICE.password_hash
        assert (
            await storage.sessions.start(
                NewSession(
                    session, digest(1), token_expires_at=session.expires_at, password_hash=old
                ),
                limit=100,
            )
            is not None
        )

        async def read_state() -> tuple[object, ...]:
            return (
                await storage.users.find(ALICE.username),
                await storage.users.get(ALICE.id),
                await storage.sessions.is_active(session.id, user=ALICE.id, at=AT),
                await active(storage, ALICE.id),
                await storage.orders.get_owned(OrderId(7), owner=ALICE.id),
                list(await storage.orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)),
            )

        assert await read_state() == (ALICE, ALICE, True, ["1"], an_order(), [an_order()])
        other = self.another(storage)
        await other.open()
        new = PasswordHash("new")
        assert await other.users.replace_password_hash(ALICE.id, old=old, new=new)
        assert await other.sessions.end(
            session.id, user=ALICE.id, reason=SessionEndReason.REVOKED, at=AT
        )
        shipped = await other.orders.update(OrderId(7), owner=ALICE.id, change=ship)
        await other.close()
        alice = User(ALICE.id, ALICE.username, new)
        assert await read_state() == (alice, alice, False, [], shipped, [shipped])

    async def test_close_succeeds_when_the_storage_was_never_opened(self, storage: Storage) -> None:
        await self.another(storage).close()

    async def test_identity_stays_the_same_while_the_storage_is_used(
        self, storage: Storage
    ) -> None:
        before = storage.identity()
        await storage.users.add(Username("alice"), PasswordHash("hash"))
        await storage.ping()
        assert storage.identity() == before

    async def test_secret_is_the_same_in_every_process(self, storage: Storage) -> None:
        secret = await storage.get_secret()
        assert len(secret) == 32
        await storage.migrate()
        other = self.another(storage)
        await other.open()
        assert await other.get_secret() == secret
        await other.close()

    # UserRepository

    async def test_user_is_found_by_name(self, storage: Storage) -> None:
        added = await storage.users.add(Username.new("Zoë"), PasswordHash("$2b$12$x"))
        assert added == User(added.id, Username("zoë"), PasswordHash("$2b$12$x"))
        assert 1 <= added.id <= MAX_ID
        assert await storage.users.find(Username.new("ZOË")) == added

    async def test_unknown_name_is_not_found(self, storage: Storage) -> None:
        await storage.users.add(Username("alice"), PasswordHash("hash"))
        assert await storage.users.find(Username("alic")) is None
        assert await storage.users.find(Username("alice%")) is None

    async def test_users_have_different_ids(self, storage: Storage) -> None:
        added = [await storage.users.add(Username(f"u{i}"), PasswordHash("h")) for i in range(5)]
        assert len({user.id for user in added}) == 5

    @pytest.mark.parametrize(
        ("name", "similar"),
        [
            ("strasse", "stra\u00dfe"),
            ("zoe", "zo\u00eb"),
            ("resume", "re\u0301sume\u0301"),
            ("alice", "alice_"),
            ("a1", "a01"),
            ("n" * 63 + "1", "n" * 63 + "2"),
        ],
        ids=["sharp s", "diaeresis", "acute", "underscore", "leading zero", "last character"],
    )
    async def test_similar_names_are_of_different_accounts(
        self, storage: Storage, name: str, similar: str
    ) -> None:
        first = await storage.users.add(Username(name), PasswordHash("first"))
        assert await storage.users.find(Username(similar)) is None
        second = await storage.users.add(Username(similar), PasswordHash("second"))
        assert await storage.users.find(Username(name)) == first
        assert await storage.users.find(Username(similar)) == second

    async def test_name_is_taken_by_one_account(self, storage: Storage) -> None:
        first = await storage.users.add(Username("alice"), PasswordHash("first"))
        with pytest.raises(UsernameTaken):
            await storage.users.add(Username.new("ALICE"), PasswordHash("second"))
        assert await storage.users.find(Username("alice")) == first

    async def test_parallel_registrations_of_a_name_succeed_once(self, storage: Storage) -> None:
        results = await asyncio.gather(
            *(storage.users.add(Username("alice"), PasswordHash(f"hash {i}")) for i in range(20)),
            return_exceptions=True,
        )
        winners = [result for result in results if isinstance(result, User)]
        assert [type(result) for result in results].count(UsernameTaken) == 19
        assert winners == [await storage.users.find(Username("alice"))]

    async def test_hash_is_replaced_when_it_has_not_changed(self, storage: Storage) -> None:
        user = await storage.users.add(Username("alice"), PasswordHash("old"))
        other = await storage.users.add(Username("bob"), PasswordHash("old"))
        assert await storage.users.replace_password_hash(
            user.id, old=PasswordHash("old"), new=PasswordHash("new")
        )
        assert await storage.users.find(user.username) == User(
            user.id, user.username, PasswordHash("new")
        )
        assert await storage.users.find(other.username) == other

    async def test_hash_is_kept_when_it_has_changed(self, storage: Storage) -> None:
        user = await storage.users.add(Username("alice"), PasswordHash("changed"))
        assert not await storage.users.replace_password_hash(
            user.id, old=PasswordHash("old"), new=PasswordHash("new")
        )
        assert await storage.users.find(user.username) == user

    async def test_hash_of_a_missing_account_is_not_replaced(self, storage: Storage) -> None:
        assert not await storage.users.replace_password_hash(
            UserId(99), old=PasswordHash("old"), new=PasswordHash("new")
        )

    async def test_parallel_replacements_of_a_hash_succeed_once(self, storage: Storage) -> None:
        user = await storage.users.add(Username("alice"), PasswordHash("old"))
        results = await asyncio.gather(
            *(
                storage.users.replace_password_hash(
                    user.id, old=PasswordHash("old"), new=PasswordHash(f"new {i}")
                )
                for i in range(20)
            )
        )
        stored = await storage.users.find(user.username)
        assert results.count(True) == 1
        assert stored == User(user.id, user.username, PasswordHash(f"new {results.index(True)}"))

    async def test_subject_of_an_issuer_has_one_account(self, storage: Storage) -> None:
        alice = await storage.users.add(Username("alice"), PasswordHash("hash"))
        first = await storage.users.get_or_create_by_subject("https://id.example/", "auth0|7")
        assert 1 <= first <= MAX_ID
        assert first != alice.id
        assert (
            await storage.users.get_or_create_by_subject("https://id.example/", "auth0|7") == first
        )

    @pytest.mark.parametrize(
        ("issuer", "subject"),
        [
            ("https://id.example", "Zoë"),
            ("https://id.example/", "zoë"),
            ("https://id.example/", "Zoe\u0308"),
            ("https://id.example/", "Zoe"),
            ("https://id.example/", "Zoë "),
            ("https://id.example/", " Zoë"),
            ("https://ID.example/", "Zoë"),
            ("https://other.example/", "Zoë"),
        ],
    )
    async def test_issuers_and_subjects_are_compared_exactly(
        self, storage: Storage, issuer: str, subject: str
    ) -> None:
        first = await storage.users.get_or_create_by_subject("https://id.example/", "Zoë")
        assert await storage.users.get_or_create_by_subject(issuer, subject) != first

    async def test_subject_has_up_to_255_characters(self, storage: Storage) -> None:
        first = await storage.users.get_or_create_by_subject("i" * 255, "😀" * 255)
        assert await storage.users.get_or_create_by_subject("i" * 255, "😀" * 255) == first

    @pytest.mark.parametrize(
        ("issuer", "subject"), [("1", "2"), ("2", "1")], ids=["subject", "issuer"]
    )
    async def test_subjects_that_differ_in_the_last_character_are_different(
        self, storage: Storage, issuer: str, subject: str
    ) -> None:
        first = await storage.users.get_or_create_by_subject("i" * 254 + "1", "😀" * 254 + "1")
        other = await storage.users.get_or_create_by_subject(
            "i" * 254 + issuer, "😀" * 254 + subject
        )
        assert other != first

    async def test_subject_has_one_account_when_it_is_seen_in_parallel(
        self, storage: Storage
    ) -> None:
        ids = await asyncio.gather(
            *(
                storage.users.get_or_create_by_subject("https://id.example", "new")
                for _ in range(20)
            )
        )
        assert len(set(ids)) == 1

    async def test_external_account_takes_no_user_name(self, storage: Storage) -> None:
        subject = await storage.users.get_or_create_by_subject("https://id.example", "alice")
        assert await storage.users.find(Username("alice")) is None
        alice = await storage.users.add(Username("alice"), PasswordHash("hash"))
        bob = await storage.users.get_or_create_by_subject("https://id.example", "bob")
        assert len({subject, alice.id, bob}) == 3

    @pytest.mark.parametrize("hash_", ["", " ", "None", "null"])
    async def test_external_account_starts_no_session(self, storage: Storage, hash_: str) -> None:
        """External and closed accounts start no session with any hash."""
        closed = await storage.users.add(Username("alice"), PasswordHash("hash"))
        await storage.users.close(closed.id, password_hash=closed.password_hash, at=AT)
        subject = await storage.users.get_or_create_by_subject("https://id.example", "bob")
        old = PasswordHash(hash_)
        for user_id in (closed.id, subject):
            assert await storage.users.get(user_id) is None
            assert not await storage.users.replace_password_hash(
                user_id, old=old, new=PasswordHash("new")
            )
            assert not await storage.users.change_password(
                PasswordChange(user_id, old=old, new=PasswordHash("new"), keep=None, at=AT)
            )
            assert (
                await storage.sessions.start(
                    NewSession(
                        a_session(user=user_id), digest(1), token_expires_at=AT, password_hash=old
                    ),
                    limit=100,
                )
                is None
            )
            assert await storage.users.close(user_id, password_hash=old, at=AT) is None
        assert await storage.sessions.get_by_refresh_token(digest(1)) is None
        assert await storage.users.get_or_create_by_subject("https://id.example", "bob") == subject

    async def test_id_of_a_closed_account_is_never_given_again(self, storage: Storage) -> None:
        gone = await storage.users.add(Username("alice"), PasswordHash("hash"))
        await storage.users.close(gone.id, password_hash=gone.password_hash, at=AT)
        await storage.close()
        await storage.open()
        carol = await storage.users.add(Username("carol"), PasswordHash("hash"))
        subject = await storage.users.get_or_create_by_subject("https://id.example", "alice")
        assert len({gone.id, carol.id, subject}) == 3

    # Accounts and orders

    async def test_add_refuses_an_order_without_an_account(self, storage: Storage) -> None:
        await self.fill(storage, [ALICE])
        unknown = replace(an_order(), owner=UserId(99))
        assert await storage.orders.add(unknown, owner=UserId(99)) is None
        assert await storage.orders.get_owned(unknown.id, owner=UserId(99)) is None

    async def test_external_account_places_orders(self, storage: Storage) -> None:
        subject = await storage.users.get_or_create_by_subject("https://id.example", "alice")
        order = replace(an_order(), owner=subject)
        assert await storage.orders.add(order, owner=subject) == order


class WholeStorageContract(StorageContract, BulkLoaderContract, ArchiveContract):
    """A storage with a bulk loader and an archive."""
