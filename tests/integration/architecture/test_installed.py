"""Install the wheel beside a project's own `domain` package."""

import shutil
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.program.captured_output import run_program

ROOT = Path(__file__).parents[3]

ROUTER = """
import domain
from fastapi import APIRouter
from ordergate.entrypoints.http.security import CurrentUser, authenticated

router = APIRouter(dependencies=[authenticated])


@router.get("/greeting")
async def greet(caller: CurrentUser) -> str:
    return f"{domain.GREETING} {caller.id}"
"""

CLIENT = """
import asyncio, httpx2, ordergate, router
from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.config.settings import Settings
from pydantic import SecretStr

async def main() -> None:
    settings = Settings(signing_secret=SecretStr("s" * 40), bcrypt_cost=4)
    app = create_app(Container(settings=settings, storage=InMemoryStorage()))
    app.include_router(router.router)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        account = {"username": "alice", "password": "correct horse battery staple"}
        await client.post("/users", json=account)
        token = (await client.post("/login", data=account)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answers = [await client.get("/greeting", headers=h) for h in ({}, bearer)]
    print([answer.status_code for answer in answers], answers[1].json())
    print(ordergate.__file__)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy, because a build leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    run_program(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", "dist", "."],
        cwd=folder,
        check=True,
    )
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the wheel, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    run_program([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    ZipFile(wheel).extractall(packages)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "__init__.py").write_text("GREETING = 'Hello'\n")
    (tmp_path / "router.py").write_text(ROUTER)
    (tmp_path / "client.py").write_text(CLIENT)
    return tmp_path


def test_wheel_contains_every_source_file(wheel: Path) -> None:
    source = {
        f"ordergate/{path.relative_to(ROOT / 'src').as_posix()}"
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and ".egg-info" not in path.parent.suffix
    }
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == source


def test_wheel_installs_beside_a_project_with_its_own_domain(python: Path, project: Path) -> None:
    result = run_program([python, "client.py"], cwd=project, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    answers, where = result.stdout.splitlines()[-2:]
    assert answers == "[401, 200] Hello 1"
    assert Path(where).is_relative_to(python.parents[1])


def test_type_checkers_check_what_a_project_uses(python: Path, project: Path) -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)]
    right = run_program([*mypy, "router.py"], cwd=project, capture_output=True, text=True)
    assert right.returncode == 0, right.stdout
    (project / "router.py").write_text(ROUTER.replace("caller.id", "caller.name"))
    wrong = run_program([*mypy, "router.py"], cwd=project, capture_output=True, text=True)
    assert '"Caller" has no attribute "name"' in wrong.stdout
