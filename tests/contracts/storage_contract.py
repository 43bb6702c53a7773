"""Storage contract. A subclass names the parts; see CONTRIBUTING, "A new storage"."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import TypeVar

import pytest

from ordergate.application.errors import (
    AccountHasOpenOrders,
    StorageNotEmpty,
    StorageUnavailable,
    UsernameTaken,
)
from ordergate.application.ports.orders import OrderQuery
from ordergate.application.ports.sessions import NewSession
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username
from tests.contracts.archive_contract import ArchiveContract
from tests.contracts.atomicity_contract import AtomicityContract
from tests.contracts.orders_contract import OrderRepositoryContract
from tests.contracts.races_contract import RacesContract
from tests.contracts.sessions_contract import SessionRepositoryContract
from tests.contracts.values_contract import ValuesContract
from tests.support.builders import ALICE, AT, BOB, a_session, an_order, digest, ship
from tests.support.storage_calls import active

T = TypeVar("T")


class StorageContract(
    SessionRepositoryContract,
    OrderRepositoryContract,
    ArchiveContract,
    ValuesContract,
    RacesContract,
    AtomicityContract,
):
    """Every port of a storage: `Storage` and all its repositories."""

    @pytest.fixture
    def storage(self) -> Storage:
        """Return a storage that is migrated, open and empty."""
        raise NotImplementedError

    # Storage

    async def test_ping_succeeds_when_the_storage_is_open(self, storage: Storage) -> None:
        await storage.ping()

    async def test_migrate_is_idempotent(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [an_order()])
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

    async def test_records_are_visible_to_other_processes(self, storage: Storage) -> None:
        carol = await storage.users.add(Username("carol"), PasswordHash("hash"))
        other = self.another(storage)
        await other.open()
        assert await other.users.find(Username("carol")) == carol
        await other.close()

    async def test_change_by_another_process_is_visible(self, storage: Storage) -> None:
        """A storage caches no account, session or order."""
        await storage.loader.load([ALICE], [an_order()])
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

        async def list_stored_orders() -> tuple[object, ...]:
            return (
                await storage.users.find(ALICE.username),
                await storage.users.get(ALICE.id),
                await storage.sessions.is_active(session.id, user=ALICE.id, at=AT),
                await active(storage, ALICE.id),
                await storage.orders.get_owned(OrderId(7), owner=ALICE.id),
                list(await storage.orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)),
            )

        assert await list_stored_orders() == (ALICE, ALICE, True, ["1"], an_order(), [an_order()])
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
        assert await list_stored_orders() == (alice, alice, False, [], shipped, [shipped])

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

    def another(self, storage: Storage) -> Storage:
        """Return what another process would use to reach the same data, not yet open."""
        raise NotImplementedError

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

    async def test_storage_with_an_external_account_is_not_empty(self, storage: Storage) -> None:
        await storage.users.get_or_create_by_subject("https://id.example", "alice")
        with pytest.raises(StorageNotEmpty):
            await storage.loader.load([ALICE], [])

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

    async def empty(self, storage: Storage) -> None:
        """Remove everything, by a way of the storage's own."""
        raise NotImplementedError

    # BulkLoader

    async def test_users_are_read_before_orders(self, storage: Storage) -> None:
        read: list[object] = []

        def each(values: Iterable[T]) -> Iterator[T]:
            for value in values:
                read.append(value)
                yield value

        orders = [an_order(i, owner=1 + i % 2) for i in range(1, 9)]
        await storage.loader.load(each([ALICE, BOB]), each(orders))
        assert read == [ALICE, BOB, *orders]

    async def test_users_and_orders_are_read_once(self, storage: Storage) -> None:
        users, orders = iter([ALICE, BOB]), iter([an_order(1), an_order(2, owner=2)])
        await storage.loader.load(users, orders)
        assert await storage.users.get(BOB.id) == BOB
        assert list(await storage.orders.list_owned(OrderQuery(limit=2), owner=BOB.id)) == [
            an_order(2, owner=2)
        ]

    @pytest.mark.parametrize(
        "error",
        [StorageUnavailable("away"), ConnectionError("reset"), TimeoutError("late")],
        ids=lambda error: type(error).__name__,
    )
    async def test_load_stores_nothing_when_reading_its_input_fails(
        self, storage: Storage, error: Exception
    ) -> None:
        """An iterator that failed is exhausted, so a second attempt would load only a part."""

        def failing(values: Iterable[T]) -> Iterator[T]:
            yield from values
            raise error

        for users, orders in (
            (iter([ALICE]), failing([an_order()])),
            (failing([ALICE]), iter([an_order()])),
        ):
            with pytest.raises((type(error), StorageUnavailable)):
                await storage.loader.load(users, orders)
            assert await storage.users.get(ALICE.id) is None
            assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) is None
        await storage.loader.load([ALICE], [an_order()])

    async def test_storage_with_a_closed_account_is_not_empty(self, storage: Storage) -> None:
        alice = await storage.users.add(Username("alice"), PasswordHash("hash"))
        await storage.users.close(alice.id, password_hash=alice.password_hash, at=AT)
        with pytest.raises(StorageNotEmpty):
            await storage.loader.load([BOB], [])
        assert await storage.users.find(BOB.username) is None

    async def test_load_refuses_unreadable_users(self, storage: Storage) -> None:
        def broken() -> Iterator[User]:
            yield ALICE
            raise RuntimeError("no more users")

        with pytest.raises(RuntimeError, match="no more users"):
            await storage.loader.load(broken(), [])
        assert await storage.users.find(ALICE.username) is None
        assert await storage.users.get(ALICE.id) is None
        await storage.loader.load([ALICE], [])

    async def test_loaded_orders_are_used_like_placed_ones(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [an_order(7), an_order(7, owner=2)])
        assert sorted(await storage.staff_orders.owners_of(OrderId(7))) == [ALICE.id, BOB.id]
        for status, orders in ((OrderStatus.PAID, [an_order(7)]), (OrderStatus.PLACED, [])):
            page = await storage.orders.list_owned(
                OrderQuery(status=status, limit=2), owner=ALICE.id
            )
            assert list(page) == orders
        with pytest.raises(AccountHasOpenOrders):
            await storage.users.close(ALICE.id, password_hash=ALICE.password_hash, at=AT)
        assert await storage.orders.add(an_order(7), owner=ALICE.id) == an_order(7)

    async def test_users_and_orders_are_loaded_with_their_ids(self, storage: Storage) -> None:
        await storage.loader.load(iter([ALICE, BOB]), iter([an_order(3, 1), an_order(9, 2)]))
        assert await storage.users.find(BOB.username) == BOB
        assert await storage.orders.get_owned(OrderId(3), owner=ALICE.id) == an_order(3, 1)
        assert await storage.orders.get_owned(OrderId(9), owner=BOB.id) == an_order(9, 2)

    async def test_load_is_refused_when_the_storage_is_not_empty(self, storage: Storage) -> None:
        user = await storage.users.add(Username("alice"), PasswordHash("hash"))
        with pytest.raises(StorageNotEmpty):
            await storage.loader.load([BOB], [])
        assert await storage.users.find(BOB.username) is None
        assert await storage.users.find(user.username) == user

    async def test_failed_load_leaves_nothing(self, storage: Storage) -> None:
        def broken() -> Iterator[Order]:
            yield an_order()
            raise RuntimeError("no more orders")

        with pytest.raises(RuntimeError, match="no more orders"):
            await storage.loader.load([ALICE], broken())
        assert await storage.users.find(ALICE.username) is None
        await storage.loader.load([ALICE], [an_order()])

    @pytest.mark.parametrize(
        ("users", "orders"),
        [
            ([ALICE, User(BOB.id, ALICE.username, BOB.password_hash)], []),
            ([ALICE, User(ALICE.id, BOB.username, BOB.password_hash)], []),
            ([ALICE], [an_order(1), an_order(1)]),
            ([ALICE], [an_order(1), an_order(2, owner=BOB.id)]),
        ],
        ids=["one name", "one user id", "one order", "no owner"],
    )
    async def test_load_refuses_inconsistent_records(
        self, storage: Storage, users: list[User], orders: list[Order]
    ) -> None:
        with pytest.raises(ValueError, match=r"twice|without its owner"):
            await storage.loader.load(users, orders)
        assert await storage.users.find(ALICE.username) is None
        assert await storage.orders.get_owned(OrderId(1), owner=ALICE.id) is None

    async def test_two_owners_may_each_have_an_order_of_one_id(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [an_order(7, owner=1), an_order(7, owner=2)])
        assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order(7, owner=1)
        assert await storage.orders.get_owned(OrderId(7), owner=BOB.id) == an_order(7, owner=2)

    async def test_new_users_have_new_ids_when_users_were_loaded(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [])
        added = await storage.users.add(Username("carol"), PasswordHash("hash"))
        assert added.id not in {ALICE.id, BOB.id}

    async def test_new_account_replaces_no_loaded_one_when_ids_have_gaps(
        self, storage: Storage
    ) -> None:
        """Ids are not counted, and do not continue from the last loaded account."""
        loaded = [User(UserId(i), Username(f"u{i}"), PasswordHash("h")) for i in (9, 2, 3, 5)]
        await storage.loader.load(loaded, [])
        added = [await storage.users.add(Username(f"n{i}"), PasswordHash("h")) for i in range(8)]
        subjects = [
            await storage.users.get_or_create_by_subject("https://id.example", f"{i}")
            for i in range(8)
        ]
        assert len({*(user.id for user in [*loaded, *added]), *subjects}) == 20
        for user in [*loaded, *added]:
            assert await storage.users.get(user.id) == user
            assert await storage.users.find(user.username) == user
