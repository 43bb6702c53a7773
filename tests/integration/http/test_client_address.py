"""The client address and the scheme come from the connection.

This holds however uvicorn is started.
"""

from pathlib import Path

import httpx2
import pytest

from tests.support.program.command import PASSWORD, ordergate
from tests.support.program.server import Start

FORGED = "203.0.113.66"
APP = """
from fastapi import Request

from ordergate.entrypoints.asgi import create

app = create()


@app.get("/scheme")
async def scheme(request: Request) -> str:
    return request.url.scheme
"""
PARENT = """
from contextlib import asynccontextmanager

import ordergate.entrypoints.http.app
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(parent):
    from ordergate.entrypoints.asgi import create

    child = create()
    parent.mount("/", child)
    async with child.router.lifespan_context(child):
        yield


app = FastAPI(lifespan=lifespan)
"""
PROGRAM = """
import sys

import uvicorn

from own import app

uvicorn.run(app, port=int(sys.argv[2]), proxy_headers=True, forwarded_allow_ips="*")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    added = ordergate("users", "add", "alice", cwd=tmp_path, PASSWORD=PASSWORD, BCRYPT_COST=4)
    assert added.returncode == 0
    for name, code in {"own": APP, "parent": PARENT, "program": PROGRAM}.items():
        (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


def resolve_address(url: str) -> str:
    """Sign in with a forged address; return the address of the session."""
    with httpx2.Client(base_url=url, headers={"X-Forwarded-For": FORGED}) as client:
        form = {"username": "alice", "password": PASSWORD}
        token = client.post("/login", data=form).json()["access_token"]
        (session,) = client.get("/sessions", headers={"Authorization": f"Bearer {token}"}).json()
    return str(session["address"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["own:app"],
        ["--factory", "ordergate.entrypoints.asgi:create"],
        ["--proxy-headers", "ordergate.entrypoints.asgi:app"],  # as `fastapi run` does
        ["--proxy-headers", "--forwarded-allow-ips", "*", "own:app"],
        ["--http", "h11", "--loop", "asyncio", "own:app"],
        ["parent:app"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("allowed", [None, "*", "127.0.0.1"])
def test_client_cannot_choose_its_address_under_uvicorn(
    folder: Path,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    allowed: str | None,
) -> None:
    if allowed is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", allowed)
    server = start(*arguments, module="uvicorn", cwd=folder, BCRYPT_COST=4)
    assert resolve_address(server.url) == "127.0.0.1"


def test_client_cannot_choose_its_address_when_the_application_runs_uvicorn(
    folder: Path, start: Start
) -> None:
    server = start(module="program", cwd=folder, BCRYPT_COST=4)
    assert resolve_address(server.url) == "127.0.0.1"


@pytest.mark.parametrize("trusted", [None, "127.0.0.1"])
def test_scheme_is_that_of_the_connection_unless_a_trusted_proxy_names_another(
    folder: Path, start: Start, trusted: str | None
) -> None:
    settings = {} if trusted is None else {"TRUSTED_PROXIES": trusted}
    server = start("own:app", module="uvicorn", cwd=folder, BCRYPT_COST=4, **settings)
    answer = httpx2.get(f"{server.url}/scheme", headers={"X-Forwarded-Proto": "https"})
    assert answer.json() == ("http" if trusted is None else "https")


def test_trusted_proxy_names_the_address_under_uvicorn(folder: Path, start: Start) -> None:
    server = start(
        "own:app", module="uvicorn", cwd=folder, BCRYPT_COST=4, TRUSTED_PROXIES="127.0.0.1"
    )
    assert resolve_address(server.url) == FORGED


def test_proxy_list_of_uvicorn_is_ignored_with_a_warning(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1")
    server = start("own:app", module="uvicorn", cwd=folder, LOG_FORMAT="json")
    server.stop()
    (line,) = [line for line in server.output if "forwarded_allow_ips_ignored" in line]
    assert "ORDERGATE_TRUSTED_PROXIES" in line
