"""Who is measured: how each is prepared and started as a real server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.apps.sample import BCRYPT_COST, ORDER, ORDERS, PASSWORD, USERS
from bench.load import Failed, Request, on_cores

ROOT = Path(__file__).parents[1]
OURS = sys.executable
THEIRS = str(ROOT / ".venv-bench" / "bin" / "python")
PATIENCE = 60
"""Seconds that a server may take until its first answer, and to end."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A service; `{database}`, `{port}`, `{workers}`, `{orders}` are filled in when it starts."""

    name: str
    what: str
    python: str
    serve: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    database: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    username: str = ""

    @property
    def on_postgresql(self) -> bool:
        return self.database.startswith("postgresql")


def _uvicorn(app: str) -> tuple[str, ...]:
    quiet = ("--no-access-log", "--log-level", "warning")
    return ("-m", "uvicorn", app, "--port", "{port}", "--workers", "{workers}", *quiet)


def _this(name: str, what: str, database: str) -> Contestant:
    return Contestant(
        name,
        what,
        OURS,
        ("-m", "entrypoints", "serve", "--port", "{port}", "--workers", "{workers}"),
        prepare=(
            ("-m", "entrypoints", "migrate"),
            ("-m", "entrypoints", "seed", "--users", str(USERS), "--orders", "{orders}"),
        ),
        database=database,
        environment={
            "ORDERGATE_DATABASE_URL": "{database}",
            "ORDERGATE_ACCESS_TOKEN_SECONDS": "86400",
            "ORDERGATE_BCRYPT_COST": str(BCRYPT_COST),
            "ORDERGATE_LOG_LEVEL": "warning",
        },
        username="user1",
    )


def _peer(name: str, what: str, module: str, database: str, username: str) -> Contestant:
    return Contestant(
        name,
        what,
        THEIRS,
        _uvicorn(f"{module}:app"),
        prepare=(("-m", module),),
        database=database,
        environment={"BENCH_DATABASE": "{database}"},
        username=username,
    )


SQLITE = "{folder}/orders.db"
THIS = _this("this", "this project on SQLite", f"sqlite:///{SQLITE}")
THIS_PG = _this("this-pg", "this project on PostgreSQL", "postgresql://")
RAW = Contestant("raw", "ASGI, a constant body", THEIRS, _uvicorn("bench.apps.raw:app"))
CONSTANT = Contestant(
    "constant", "FastAPI, a constant model", THEIRS, _uvicorn("bench.apps.constant:app")
)
TUTORIAL = _peer(
    "tutorial", "tutorial on SQLite", "bench.apps.tutorial", f"sqlite:///{SQLITE}", "user1"
)
TUTORIAL_PG = _peer(
    "tutorial-pg", "tutorial on PostgreSQL", "bench.apps.tutorial", "postgresql+psycopg://", "user1"
)
PEER = _peer(
    "fastapi-users",
    "fastapi-users on SQLite",
    "bench.apps.peer",
    f"sqlite+aiosqlite:///{SQLITE}",
    "user1@orders.example",
)
ALL = (THIS, THIS_PG, RAW, CONSTANT, TUTORIAL, TUTORIAL_PG, PEER)


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers: its address, and a token of user1's."""

    contestant: Contestant
    url: str
    token: str
    pid: int

    def ask(self, request: Request) -> bytes:
        """Ask once. Raises `Failed` for another status than the request's."""
        status, body = _ask(self.url, request)
        if status != request.status:
            raise Failed(
                f"{self.contestant.what}: {request.method} {request.path} was answered {status},"
                f" not {request.status}: {body[:300].decode(errors='replace')}"
            )
        return body


def _ask(url: str, request: Request) -> tuple[int, bytes]:
    asked = urllib.request.Request(  # noqa: S310 - the server that was started here
        url + request.path,
        data=request.body.encode() or None,
        headers=request.headers,
        method=request.method,
    )
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 - as above
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def sign_in(contestant: Contestant) -> Request:
    form = urllib.parse.urlencode({"username": contestant.username, "password": PASSWORD})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("/login", method="POST", headers=headers, body=form)


def prepare(contestant: Contestant, folder: Path, database: str, *, orders: int = ORDERS) -> None:
    """Make the tables and fill them. Raises `Failed`."""
    for command in contestant.prepare:
        done = subprocess.run(  # noqa: S603 - a contestant
            [contestant.python, *(part.format(orders=orders) for part in command)],
            cwd=ROOT,
            env=_environment(contestant, folder, database),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{contestant.what} cannot be prepared: {done.stderr[-600:]}")


def begin(
    contestant: Contestant,
    folder: Path,
    database: str,
    cores: Sequence[int],
    *,
    port: int,
    workers: int = 1,
) -> subprocess.Popen[bytes]:
    """Start a server; what it writes goes to `server.log` in the folder."""
    with (folder / "server.log").open("w") as log:
        return subprocess.Popen(  # noqa: S603 - a contestant
            [
                *on_cores(cores),
                contestant.python,
                *(part.format(port=port, workers=workers) for part in contestant.serve),
            ],
            cwd=ROOT,
            env=_environment(contestant, folder, database),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def serving(
    contestant: Contestant,
    folder: Path,
    database: str,
    cores: Sequence[int],
    *,
    workers: int = 1,
) -> Iterator[Served]:
    """Serve what was prepared, on these cores; it is ended when the block is left."""
    port = free_port()
    process = begin(contestant, folder, database, cores, port=port, workers=workers)
    try:
        url = f"http://127.0.0.1:{port}"
        try:
            await_answer(process, url)
        except Failed as failed:
            told = (folder / "server.log").read_text()[-600:]
            raise Failed(f"{contestant.what}: {failed}: {told}") from None
        served = Served(contestant, url, "", process.pid)
        if contestant.username:
            token = json.loads(served.ask(sign_in(contestant)))["access_token"]
            served = Served(contestant, url, token, process.pid)
        _check(served)
        yield served
    finally:
        end(process)


def _check(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.token}"}
    body = served.ask(Request("/order?id=1", headers=headers))
    if json.loads(body).keys() < json.loads(ORDER).keys() or len(json.loads(body)["lines"]) != 2:
        raise Failed(f"GET /order?id=1 was answered {body[:300]!r}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all its workers."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_answer(process: subprocess.Popen[bytes], url: str) -> None:
    """Wait for the first answer, whatever it is. Raises `Failed`."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _ask(url, Request("/order?id=1"))
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise Failed("the server did not start")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _environment(contestant: Contestant, folder: Path, database: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORDERGATE_")}
    ours = {"ORDERGATE_HOME": str(folder), "ORDERGATE_PASSWORD": PASSWORD}
    named = {k: v.format(database=database) for k, v in contestant.environment.items()}
    return kept | (ours if contestant.python == OURS else {}) | named
