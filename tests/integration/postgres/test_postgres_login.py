"""Everything read before a connection: password file, certificates, environment."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from ordergate.adapters.sql.postgres.connecting.password_file import (
    Login,
    PasswordFileIgnoredError,
    read_password,
)
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import StorageUnavailable, UnstorableValue
from ordergate.application.ports.passwords import Requester
from ordergate.application.ports.storage import Storage
from ordergate.domain.user import Password, PasswordHash, Username
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.databases.postgres import Databases, database_at, execute
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.captured_output import OUTPUT
from tests.support.program.command import PASSWORD as USER_PASSWORD
from tests.support.program.command import ordergate

PASSWORD = r"a:b\c d"
ESCAPED = r"a\:b\\c d"
LOGIN = Login("db.example", 5432, "orders", "ordergate")


@pytest.fixture(autouse=True)
def clear_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


def write_password_file(folder: Path, text: str | bytes, *, mode: int = 0o600) -> Path:
    file = folder / "pgpass"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


# The format, as libpq documents and reads it


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("db.example:5432:orders:ordergate:secret", "secret"),
        ("*:*:*:*:secret\n", "secret"),
        ("db.example:5432:orders:ordergate:secret\r\n", "secret"),
        ("other:*:*:*:wrong\n*:*:*:*:first\n*:*:*:*:second\n", "first"),
        ("# *:*:*:*:comment\n\n*:*:*:*:secret\n", "secret"),
        ("a stray line\n*:*\n:\n\\\n*:*:*:*:secret\n", "secret"),
        (r"*:*:*:*:a\:b\\c", r"a:b\c"),
        (r"*:*:*:*:a\b", "ab"),
        ("*:*:*:*:a\\", "a\\"),
        ("*:*:*:*:before:after", "before"),
        ("*:*:*:*: spaces count ", " spaces count "),
        ("*:*:*:*:", ""),
        ("*:*:*:*:pässwörd", "pässwörd"),
        (b"\xff:*:*:*:stray\n*:*:*:*:secret", "secret"),
        (r"\*:*:*:*:wrong" + "\n" + r"db\.example:5432:orders:ordergate:secret", "secret"),
        ("*:5433:*:*:wrong\n*:*:Orders:*:wrong\n*:*:*:*:right", "right"),
    ],
)
def test_password_comes_from_the_first_matching_line(
    tmp_path: Path, text: str | bytes, password: str
) -> None:
    assert read_password(write_password_file(tmp_path, text), LOGIN) == password


@pytest.mark.parametrize(
    ("login", "text"),
    [
        (Login("::1", 5432, "orders", "ordergate"), r"\:\:1:*:*:*:secret"),
        (Login("/run/postgresql", 5432, "orders", "ordergate"), "localhost:*:*:*:secret"),
        (Login("/srv/socket", 5432, "orders", "ordergate"), "/srv/socket:*:*:*:secret"),
        (Login("h", 1, "a:b", "c\\d"), r"h:1:a\:b:c\\d:secret"),
    ],
)
def test_names_are_escaped_in_the_file(tmp_path: Path, login: Login, text: str) -> None:
    assert read_password(write_password_file(tmp_path, text), login) == "secret"


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("*:*:*:*:secret", 0o640, "users other than its owner may use it; run chmod 600 on it"),
        ("other:*:*:*:secret", 0o600, "no line of it matches host, port, database and user"),
        ("", 0o600, "no line of it matches"),
        (b"*:*:*:*:\xff", 0o600, "the password in it is not UTF-8"),
    ],
)
def test_file_is_ignored_with_a_reason(
    tmp_path: Path, text: str | bytes, mode: int, reason: str
) -> None:
    with pytest.raises(PasswordFileIgnoredError, match=reason):
        read_password(write_password_file(tmp_path, text, mode=mode), LOGIN)


def test_file_is_ignored_when_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(PasswordFileIgnoredError, match="No such file"):
        read_password(tmp_path / "not there", LOGIN)
    with pytest.raises(PasswordFileIgnoredError, match="not a plain file"):
        read_password(Path(os.devnull), LOGIN)


# Connections


@pytest.fixture
async def account(postgres_url: str, postgres_databases: Databases) -> AsyncIterator[str]:
    """Return the URL of a database without its role's password."""
    OUTPUT.secrets.add(PASSWORD)
    quoted = PASSWORD.replace("'", "''")
    database = urlsplit(postgres_url).path[1:]
    await execute(
        postgres_url,
        f"CREATE ROLE sparrow LOGIN PASSWORD '{quoted}'",
        f"ALTER DATABASE {database} OWNER TO sparrow",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO sparrow",
        "ALTER TABLE ordergate_version OWNER TO sparrow",
    )
    parts = urlsplit(postgres_url)
    yield parts._replace(netloc=f"sparrow@{parts.netloc.rpartition('@')[2]}").geturl()
    await execute(
        postgres_url, "DROP OWNED BY sparrow", f"ALTER DATABASE {database} OWNER TO CURRENT_USER"
    )
    await execute(postgres_url, "DROP ROLE sparrow")


async def opened(url: str) -> Storage:
    storage = SqlStorage(database_at(url))
    try:
        await storage.open()
    finally:
        await storage.close()
    return storage


async def refusal(url: str) -> str:
    with pytest.raises(StorageUnavailable) as refused:
        await opened(url)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("by", ["URL", "PGPASSFILE", "HOME"])
async def test_password_file_is_used(
    account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    file = write_password_file(tmp_path, f"a stray line\n*:*:*:sparrow:{ESCAPED}\n")
    if by == "URL":
        account += f"?passfile={file}"
    elif by == "PGPASSFILE":
        monkeypatch.setenv("PGPASSFILE", str(file))
    else:
        file.rename(tmp_path / ".pgpass")
        monkeypatch.setenv("HOME", str(tmp_path))
    await opened(account)


async def test_pgpassword_is_used_before_the_file(
    account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_password_file(tmp_path, "*:*:*:*:wrong")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    await opened(f"{account}?passfile={file}")
    monkeypatch.setenv("PGPASSWORD", "")
    write_password_file(tmp_path, f"*:*:*:*:{ESCAPED}")
    await opened(f"{account}?passfile={file}")


async def test_ignored_password_file_is_named_when_the_password_is_refused(
    account: str, tmp_path: Path
) -> None:
    file = write_password_file(tmp_path, f"*:*:*:*:{ESCAPED}", mode=0o644)
    said = await refusal(f"{account}?passfile={file}")
    assert said == (
        'PostgreSQL: password authentication failed for user "sparrow" (28P01); the password file'
        f" {file} was not used: users other than its owner may use it; run chmod 600 on it"
    )


async def test_serving_answers_unavailable_when_the_password_file_has_a_stray_line(
    account: str, tmp_path: Path
) -> None:
    file = write_password_file(tmp_path, "a stray line\n")
    storage = SqlStorage(database_at(f"{account}?passfile={file}"))
    with pytest.raises(StorageUnavailable, match="no line of it matches"):
        await storage.ping()
    await storage.close()


async def test_command_says_one_line_when_the_password_file_has_a_stray_line(
    account: str, tmp_path: Path
) -> None:
    file = write_password_file(tmp_path, "a stray line\n")
    url = f"{account}?passfile={file}"
    done = await asyncio.to_thread(ordergate, "migrate", cwd=tmp_path, DATABASE_URL=url)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "no line of it matches host, port, database and user" in done.stderr


# Values that the driver cannot use


@pytest.mark.parametrize("parameter", ["sslrootcert", "sslcert"])
@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n"])
async def test_broken_certificate_is_unavailable(
    postgres_url: str, tmp_path: Path, parameter: str, content: str
) -> None:
    file = write_password_file(tmp_path, content)
    said = await refusal(f"{postgres_url}?sslmode=require&{parameter}={file}")
    assert said.startswith("PostgreSQL: TLS failed; look at sslmode, sslrootcert, sslcert and sslk")


async def test_folder_as_a_certificate_is_unavailable(postgres_url: str, tmp_path: Path) -> None:
    said = await refusal(f"{postgres_url}?sslmode=require&sslcert={tmp_path}")
    assert said.startswith("PostgreSQL: ")


async def test_missing_default_certificate_is_unavailable(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "root certificate file" in await refusal(f"{postgres_url}?sslmode=verify-full")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PGSSLMODE", "`sslmode` parameter must be one of"),
        ("PGTARGETSESSIONATTRS", "target_session_attrs is expected to be one that exists, got"),
        ("PGSSLNEGOTIATION", "`sslnegotiation` parameter must be one of"),
        ("PGGSSLIB", "gsslib parameter must be either"),
    ],
)
async def test_wrong_variable_is_unavailable(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv(name, "junk")
        assert words in await refusal(postgres_url)


@pytest.mark.parametrize("name", ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"])
async def test_variable_does_not_replace_what_the_url_says(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv(name, "junk")
        await opened(postgres_url)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", "not-there.invalid"])
async def test_impossible_host_is_unavailable(host: str) -> None:
    assert (await refusal(f"postgresql://a:b@{host}/c")).startswith("PostgreSQL: ")


async def test_other_hosts_are_used_when_one_has_an_impossible_name(postgres_url: str) -> None:
    await opened(postgres_url.replace("@", "@a..b,"))


async def test_password_with_invalid_text_is_unavailable(
    account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "\udcff")
    assert (await refusal(account)).startswith("PostgreSQL: ")


async def test_process_without_a_user_name_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(getpass, "getuser", fail)
    assert "the URL names no user" in await refusal("postgresql://127.0.0.1:1/orders")


# Encodings


@pytest.fixture(params=["LATIN1", "SQL_ASCII", "WIN1252"])
def other_encoding(
    request: pytest.FixtureRequest, postgres_databases: Databases
) -> Iterator[tuple[str, str]]:
    options = f"ENCODING '{request.param}' LC_COLLATE 'C' LC_CTYPE 'C'"
    url = postgres_databases.create(options=options)
    yield request.param, url
    postgres_databases.drop(url)


async def test_database_of_another_encoding_is_refused(other_encoding: tuple[str, str]) -> None:
    encoding, url = other_encoding
    said = (
        f"PostgreSQL: the database has the encoding {encoding}, which cannot hold every text;"
        " create one with ENCODING 'UTF8' TEMPLATE template0"
    )
    assert await refusal(url) == said
    storage = SqlStorage(database_at(url))
    with pytest.raises(StorageUnavailable, match="create one with ENCODING 'UTF8'"):
        await storage.migrate()
    await storage.close()


def test_command_refuses_a_database_of_another_encoding(
    other_encoding: tuple[str, str], tmp_path: Path
) -> None:
    done = ordergate("migrate", cwd=tmp_path, DATABASE_URL=other_encoding[1])
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "create one with ENCODING 'UTF8' TEMPLATE template0" in done.stderr


async def test_text_is_sent_as_utf_8_in_every_environment(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = urlsplit(postgres_url).path[1:]
    await execute(postgres_url, f"ALTER DATABASE {database} SET client_encoding = LATIN1")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    storage = SqlStorage(database_at(postgres_url))
    subject = "茶 🫖"
    user = await storage.users.get_or_create_by_subject("https://id.example", subject)
    assert await storage.users.get_or_create_by_subject("https://id.example", subject) == user
    await storage.close()


async def test_unstorable_value_is_not_retried(postgres_url: str) -> None:
    storage = SqlStorage(database_at(postgres_url))
    for text in ("a\0b", "a\ud800b"):
        with pytest.raises(UnstorableValue, match="a value that it cannot store"):
            await storage.users.add(Username("bob"), PasswordHash(text))
    await storage.close()


class NulHasher(InstantPasswordHasher):
    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        return PasswordHash("a\0b")


async def test_request_with_an_unstorable_value_is_not_retried(
    postgres_url: str,
) -> None:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=SqlStorage(database_at(postgres_url)),
        hasher=NulHasher(),
    )
    transport = httpx2.ASGITransport(create_app(container))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        body = {"username": "user1", "password": USER_PASSWORD}
        answer = await client.post("/users", json=body)
    assert (answer.status_code, answer.json()["type"]) == (
        422,
        "urn:problem-type:ordergate:unstorable-value",
    )
    assert "retry-after" not in answer.headers
    await container.storage().close()
