"""The example with a table of its own: migrations, owners, backups, copies."""

import io
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Session

from examples.own_tables.app import create, make_engine, migrate
from examples.own_tables.notes import NoteRepository
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.domain.user import PasswordHash, UserId, Username
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from tests.support.command import PASSWORD, ordergate
from tests.support.http_client import place_and_get_location, register_new_user, sign_in
from tests.support.postgres import database_at

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.process


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORDERGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORDERGATE_SIGNING_SECRET", "a secret of more than thirty-two bytes")
    monkeypatch.setenv("ORDERGATE_SIGN_UP", "true")
    return tmp_path / "home"


def run(home: Path, *arguments: object) -> None:
    result = ordergate(*arguments, cwd=home.parent, HOME=home)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    """Migrate Ordergate's tables, then the notes, then both again."""
    engine = make_engine(load_checked_settings().storage_url)
    for _ in range(2):
        run(home, "migrate")
        with engine.begin() as connection:
            migrate(connection)
    yield engine
    engine.dispose()


@pytest.fixture
async def client(engine: Engine, log: io.StringIO) -> AsyncIterator[httpx2.AsyncClient]:
    app = create()
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client,
    ):
        yield client
    app.state.notes.dispose()


async def test_users_read_their_own_notes_only(client: httpx2.AsyncClient) -> None:
    alice, bob = await register_new_user(client), await register_new_user(client)
    added = await client.post("/notes", json={"text": "Water the plants"}, headers=alice)
    assert added.status_code == 201
    note = added.json()
    assert note == {"id": note["id"], "text": "Water the plants"}
    own = await client.get(f"/notes/{note['id']}", headers=alice)
    assert own.json() == note
    assert (await client.get("/notes", headers=alice)).json() == [note]
    assert (await client.get(f"/notes/{note['id']}", headers=bob)).status_code == 404
    assert (await client.get("/notes", headers=bob)).json() == []
    assert (await client.get("/notes")).status_code == 401
    assert (await client.post("/notes", json={"text": ""}, headers=bob)).status_code == 422
    assert await place_and_get_location(client, alice)


async def test_account_with_notes_is_closed(client: httpx2.AsyncClient, engine: Engine) -> None:
    await client.post("/users", json={"username": "carol", "password": PASSWORD})
    carol = await sign_in(client, "carol")
    await client.post("/notes", json={"text": "Buy tea"}, headers=carol)
    closed = await client.request("DELETE", "/me", json={"password": PASSWORD}, headers=carol)
    assert closed.status_code == 204
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM notes")) == 1


async def test_application_with_notes_logs_as_the_service_does(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await register_new_user(client)
    assert "account_opened" in caplog.messages


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def test_note_needs_an_account(session: Session) -> None:
    with pytest.raises(IntegrityError):
        NoteRepository(session).add("Buy tea", owner=UserId(99))


async def test_backup_contains_notes_and_copy_does_not(
    client: httpx2.AsyncClient, engine: Engine, home: Path, tmp_path: Path
) -> None:
    alice = await register_new_user(client)
    await client.post("/notes", json={"text": "Water the plants"}, headers=alice)

    def notes(at: Engine) -> object:
        with at.connect() as connection:
            return connection.execute(text("SELECT owner_id, text FROM notes")).all()

    before = notes(engine)
    run(home, "backup", tmp_path / "backup.db")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM notes"))
    run(home, "restore", tmp_path / "backup.db", "--replace")
    assert notes(engine) == before != []
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    run(home, "copy", "--from", f"sqlite:///{home / 'ordergate.db'}", "--to", target)
    copied = make_engine(target)
    assert not inspect(copied).has_table("notes")
    with copied.begin() as connection:
        migrate(connection)
    assert notes(copied) == []
    copied.dispose()


async def test_notes_are_kept_in_postgresql(postgres_url: str) -> None:
    storage = SqlStorage(database_at(postgres_url))
    await storage.open()
    alice = await storage.users.add(Username("alice"), PasswordHash("hash"))
    engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await storage.migrate()

    def add_and_list(connection: Connection) -> list[str]:
        with Session(connection) as session:
            notes = NoteRepository(session)
            notes.add("Water the plants", owner=alice.id)
            assert notes.list_owned(owner=UserId(alice.id + 1)) == []
            return [note.text for note in notes.list_owned(owner=alice.id)]

    async with engine.connect() as connection:
        assert await connection.run_sync(add_and_list) == ["Water the plants"]
    await engine.dispose()
    await storage.close()


def test_code_of_the_page_is_code_of_the_example() -> None:
    page = (ROOT / "docs" / "your-own-tables.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    code = [file.read_text() for file in (ROOT / "examples" / "own_tables").rglob("*.py")]
    assert len(blocks) == 6
    assert [block for block in blocks if not any(block in text for text in code)] == []
