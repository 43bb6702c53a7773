"""The LMDB example passes the contracts, and works in the container."""

import re
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import lmdb
import pytest

from examples.lmdb_storage import database, joined
from examples.lmdb_storage.database import LmdbDatabase
from examples.lmdb_storage.storage import LmdbStorage
from examples.lmdb_storage.transactions import Transaction
from ordergate.application.errors import SchemaNotCurrent, StorageUnavailable
from ordergate.application.ports.sessions import Forgotten
from ordergate.application.ports.storage import Storage
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import PasswordHash, Username
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories import databases
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.factories.engines import ENGINES
from tests.contracts.storage.identity_contract import STATEFUL, FileIdentityMachine
from tests.contracts.storage.storage_contract import WholeStorageContract
from tests.support.builders import ALICE, AT, CUPS, TEAPOT, a_session
from tests.support.storage.fault_injection import Failure
from tests.support.storage.storage_calls import rotate_token, start_numbered_session

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "lmdb_storage"
PAGE = (ROOT / "docs" / "storage.md").read_text()


def test_code_of_the_page_is_code_of_the_examples() -> None:
    files = [*(ROOT / "examples").rglob("*.py"), *Path(__file__).parent.glob("*.py")]
    code = [file.read_text() for file in files]
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    assert [block for block in blocks if not any(block in text for text in code)] == []


class TestLmdbStorage(WholeStorageContract):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        storage = LmdbStorage(LmdbDatabase(tmp_path / "orders"))
        await storage.migrate()
        await storage.open()
        yield storage
        await storage.close()

    def another(self, storage: Storage) -> Storage:
        assert isinstance(storage, LmdbStorage)
        other: Storage = LmdbStorage(LmdbDatabase(storage._database.folder))
        return other

    async def empty(self, storage: Storage) -> None:
        def work(view: Any) -> None:
            for key, _ in list(view.scan(b"")):
                if not key.startswith(b"m"):
                    view.delete(key)

        assert isinstance(storage, LmdbStorage)
        await storage._database.write(work)

    @contextmanager
    def fail_at(self, storage: Storage, failure: Failure) -> Iterator[None]:
        def failing(step: Callable[..., None]) -> Callable[..., None]:
            def fail_or_step(*args: object) -> None:
                failure.step(lmdb.Error("failed by a test"))
                step(*args)

            return fail_or_step

        with pytest.MonkeyPatch.context() as patch:
            for name in ("put", "delete"):
                patch.setattr(Transaction, name, failing(getattr(Transaction, name)))
            yield


class LmdbIdentity(FileIdentityMachine):
    def make_storage(self, folder: Path) -> Storage:
        return LmdbStorage(LmdbDatabase(folder / "identity"))


TestIdentityOnLmdb = LmdbIdentity.TestCase
TestIdentityOnLmdb.settings = STATEFUL


# Reports of the contracts

MISTAKES = [
    (
        "test_subject_has_up_to_255_characters",
        "hashlib.sha256(json.dumps([issuer, subject]).encode()).digest()",
        'f"{issuer} {subject}".encode()',
    ),
    (
        "test_records_are_visible_to_other_processes",
        "shared = _SHARED.get(self.folder)",
        "shared = None",
    ),
    (
        "test_id_of_a_closed_account_is_never_given_again",
        "ACCOUNTS.put(view, AccountRecord(user_id, AccountKind.CLOSED))",
        "view.delete(account_key(user_id))",
    ),
    (
        "test_update_stores_the_change",
        "            view.delete(lead)\n",
        "            pass\n",
    ),
]


def load_mistaken(folder: Path, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a copy of the example with one mistake."""
    package = folder.name
    shutil.copytree(EXAMPLE, folder)
    (file,) = (file for file in folder.glob("*.py") if right in file.read_text())
    assert file.read_text().count(right) == 1
    file.write_text(file.read_text().replace(right, wrong))
    monkeypatch.syspath_prepend(folder.parent)
    return import_module(f"{package}.storage")


@pytest.mark.parametrize(("name", "right", "wrong"), MISTAKES, ids=[each[0] for each in MISTAKES])
async def test_contract_reports_a_mistake_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, right: str, wrong: str
) -> None:
    mistaken = load_mistaken(tmp_path / name, right, wrong, monkeypatch)
    storage = mistaken.LmdbStorage(mistaken.LmdbDatabase(tmp_path / "orders"))
    kit: Any = TestLmdbStorage()
    kit.stored = storage
    kit.another = lambda _: mistaken.LmdbStorage(mistaken.LmdbDatabase(tmp_path / "orders"))
    await storage.migrate()
    await storage.open()
    said = re.search(rf"^FAILED .*::{name}\n    - ([\w.]+)", PAGE, re.MULTILINE)
    assert said is not None
    test = getattr(kit, name)
    subject = storage.orders if "orders" in signature(test).parameters else storage
    with pytest.raises((AssertionError, StorageUnavailable)) as failure:
        await test(subject)
    await storage.close()
    assert failure.typename == said[1].rpartition(".")[2]
    if failure.type is StorageUnavailable:
        assert str(failure.value).partition("'")[0] in PAGE


# The file


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = LmdbStorage(LmdbDatabase(tmp_path / "orders"))
    await storage.migrate()
    yield storage
    await storage.close()


async def test_file_and_folder_are_private(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_folder_without_a_schema_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(SchemaNotCurrent, match="run `ordergate migrate`"):
        await LmdbStorage(LmdbDatabase(tmp_path)).open()
    assert not list(tmp_path.iterdir())


async def test_folder_of_a_newer_version_is_refused(storage: Any) -> None:
    await storage._database.write(lambda view: view.put(b"mschema", bytes([2])))
    for attempt in (storage.open, storage.migrate):
        with pytest.raises(SchemaNotCurrent, match="a newer Ordergate"):
            await attempt()


async def test_missing_file_is_reported(storage: Storage, tmp_path: Path) -> None:
    await storage.open()
    await storage.ping()
    (tmp_path / "orders" / "data.mdb").unlink()
    with pytest.raises(StorageUnavailable, match="there is no database"):
        await storage.ping()


async def test_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="Not a directory"):
        await LmdbStorage(LmdbDatabase(tmp_path / "file" / "orders")).migrate()


async def test_full_storage_is_reported_and_keeps_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MAP_BYTES", 65_536)
    storage = LmdbStorage(LmdbDatabase(tmp_path))
    await storage.migrate()
    alice = await storage.users.add(Username("alice"), PasswordHash("hash"))

    async def fill() -> None:
        for i in range(10_000):
            await storage.users.add(Username(f"u{i}"), PasswordHash("h" * 99))

    with pytest.raises(StorageUnavailable, match="MDB_MAP_FULL"):
        await fill()
    assert await storage.users.find(alice.username) == alice
    await storage.close()


async def test_purged_session_leaves_no_key(storage: Any) -> None:
    await storage.loader.load([ALICE], [])

    def keys() -> list[bytes]:
        found: list[bytes] = storage._database.read(lambda view: [key for key, _ in view.scan(b"")])
        return found

    before = keys()
    for number in (1, 2, 3):
        assert await start_numbered_session(storage, number, ALICE)
    await rotate_token(storage, 1, 4)
    await storage.sessions.end(
        a_session(1).id, user=ALICE.id, reason=SessionEndReason.REVOKED, at=AT
    )
    assert await storage.sessions.purge_ended(over_by=AT, limit=9) == Forgotten(1, 2)
    left = await storage.sessions.list_active(ALICE.id, at=AT, limit=9)
    assert {each.id for each in left} == {a_session(2).id, a_session(3).id}
    over = a_session(2).expires_at
    early = over - timedelta(microseconds=1)
    assert await storage.sessions.purge_ended(over_by=early, limit=9) == Forgotten(0, 0)
    steps = [await storage.sessions.purge_ended(over_by=over, limit=2) for _ in range(3)]
    assert steps == [Forgotten(1, 1), Forgotten(1, 1), Forgotten(0, 0)]
    assert keys() == before


# The container


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the example's row to the table of engines."""
    engines = dict(ENGINES)
    for module in (databases, joined):
        monkeypatch.setattr(module, "ENGINES", engines)
    joined.join()


async def test_new_storage_needs_one_row_in_the_container(
    row: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERGATE_DATABASE_URL", f"lmdb:///{tmp_path / 'orders'}")
    settings = load_checked_settings()
    parts = Container(settings=settings)
    storage = parts.storage()
    assert isinstance(storage, LmdbStorage)
    await storage.migrate()
    await storage.open()
    alice = await storage.users.add(Username("alice"), PasswordHash("hash"))
    place = parts.place_order()
    order = await place((TEAPOT, CUPS), owner=alice.id, key="a wish")
    assert await place((TEAPOT, CUPS), owner=alice.id, key="a wish") == order
    await storage.close()
    again = Container(settings=settings)
    assert await again.get_own_order()(order.id, owner=alice.id) == order
    await again.storage().close()


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        ("lmdb:///", "must name a folder, as in lmdb:///folder"),
        ("lmdb://host/folder", "must name a folder, as in lmdb:///folder"),
        ("lmdb:///folder?create=1", "must name a folder, as in lmdb:///folder"),
        ("rocksdb:///folder", "must begin with "),
    ],
)
def test_url_is_validated_by_its_storage(
    row: None, monkeypatch: pytest.MonkeyPatch, url: str, flaw: str
) -> None:
    monkeypatch.setenv("ORDERGATE_DATABASE_URL", url)
    with pytest.raises(SettingsError) as refusal:
        load_checked_settings()
    assert refusal.value.problems[0].startswith(f"ORDERGATE_DATABASE_URL: {flaw}")
