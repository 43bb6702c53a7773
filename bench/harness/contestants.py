"""The contestants, and how each is prepared and served."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from bench.apps.sample import BCRYPT_COST, PASSWORD, USERS

ROOT = Path(__file__).parents[2]
OURS = sys.executable
THEIRS = str(ROOT / ".venv-bench" / "bin" / "python")


class Home(NamedTuple):
    """The folder and the database URL of a contestant."""

    folder: Path
    database: str


@dataclass(frozen=True, slots=True)
class Contestant:
    """A service; `{database}`, `{port}`, `{workers}`, `{orders}` and `{number}` are filled in.

    `stands` is the default number of parallel connections of a load.
    """

    name: str
    what: str
    python: str
    serve: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    database: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    username: str = ""
    stands: int = 64

    @property
    def engine(self) -> str:
        """The engine in the database URL, such as `postgresql`."""
        return self.database.partition(":")[0].partition("+")[0]

    def environment_in(self, home: Home) -> dict[str, str]:
        """Return this process's environment with the project's settings from here only."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ORDERGATE_")}
        ours = {"ORDERGATE_HOME": str(home.folder), "ORDERGATE_PASSWORD": PASSWORD}
        named = {k: v.format(database=home.database) for k, v in self.environment.items()}
        return kept | (ours if self.python == OURS else {}) | named


def _uvicorn(app: str) -> tuple[str, ...]:
    quiet = ("--no-access-log", "--log-level", "warning")
    return ("-m", "uvicorn", app, "--port", "{port}", "--workers", "{workers}", *quiet)


def _this(name: str, what: str, database: str) -> Contestant:
    return Contestant(
        name,
        what,
        OURS,
        ("-m", "ordergate.entrypoints", "serve", "--port", "{port}", "--workers", "{workers}"),
        prepare=(
            ("-m", "ordergate.entrypoints", "migrate"),
            ("-m", "ordergate.entrypoints", "seed", "--users", str(USERS), "--orders", "{orders}"),
        ),
        database=database,
        environment={
            "ORDERGATE_DATABASE_URL": "{database}",
            "ORDERGATE_ACCESS_TOKEN_SECONDS": "86400",
            "ORDERGATE_BCRYPT_COST": str(BCRYPT_COST),
            "ORDERGATE_LOG_LEVEL": "warning",
        },
        username="user{number}",
    )


def _peer(
    name: str, what: str, module: str, database: str, username: str, *, stands: int = 64
) -> Contestant:
    return Contestant(
        name,
        what,
        THEIRS,
        _uvicorn(f"{module}:app"),
        prepare=(("-m", module),),
        database=database,
        environment={"BENCH_DATABASE": "{database}"},
        username=username,
        stands=stands,
    )


SQLITE = "{folder}/orders.db"
THIS = _this("this", "this project on SQLite", f"sqlite:///{SQLITE}")
THIS_PG = _this("this-pg", "this project on PostgreSQL", "postgresql://")
THIS_MARIADB = _this("this-mariadb", "this project on MariaDB", "mariadb://")
THIS_METRICS = replace(
    THIS,
    name="this-metrics",
    what="this, with metrics",
    environment={**THIS.environment, "ORDERGATE_METRICS_PORT": "0"},
)
THIS_TRACES = replace(
    THIS,
    name="this-traces",
    what="this, with traces of 1 %",
    environment={
        **THIS.environment,
        "ORDERGATE_TELEMETRY": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",  # nothing listens there
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    },
)
UNGROUPED = replace(
    THIS,
    name="this-ungrouped",
    what="this, one commit an order",
    serve=("bench/apps/ungrouped.py", *THIS.serve[2:]),
)
UNCOMPILED = replace(
    THIS,
    name="this-uncompiled",
    what="this, routes not compiled",
    serve=("bench/apps/uncompiled.py", *THIS.serve[2:]),
)
RAW = Contestant("raw", "ASGI, a constant body", THEIRS, _uvicorn("bench.apps.raw:app"))
CONSTANT = Contestant(
    "constant", "FastAPI, a constant model", THEIRS, _uvicorn("bench.apps.constant:app")
)
# A tutorial-style service holds a connection of its pool of 15 until the answer is sent, and waits
# for a free one in the event loop: more parallel requests stop it.
TUTORIAL = _peer(
    "tutorial",
    "tutorial on SQLite",
    "bench.apps.tutorial",
    f"sqlite:///{SQLITE}",
    "user{number}",
    stands=8,
)
TUTORIAL_PG = replace(
    TUTORIAL,
    name="tutorial-pg",
    what="tutorial on PostgreSQL",
    database="postgresql+psycopg://",
)
PEER = _peer(
    "fastapi-users",
    "fastapi-users on SQLite",
    "bench.apps.peer",
    f"sqlite+aiosqlite:///{SQLITE}",
    "user{number}@orders.example",
)
ALL = (THIS, THIS_PG, THIS_MARIADB, UNCOMPILED, RAW, CONSTANT, TUTORIAL, TUTORIAL_PG, PEER)
SERVICES = (THIS, THIS_PG, THIS_MARIADB, TUTORIAL, TUTORIAL_PG, PEER)
WITHOUT_SERVER = tuple(one for one in ALL if one.engine in {"", "sqlite"})
"""Contestants without a database server."""
