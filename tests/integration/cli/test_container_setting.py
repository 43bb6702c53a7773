"""`ORDERGATE_CONTAINER`: commands and servers with adapters of an adopter."""

from pathlib import Path

import pytest

from ordergate.entrypoints import asgi
from tests.support.program.command import error_line, ordergate

SHOP = """
from ordergate.entrypoints.container import Container

class LoudAudit:
    def record(self, event, **details):
        print(event)

def make_container(settings):
    return Container(settings=settings, audit=LoudAudit())

def make_nothing(settings):
    return None

def take_nothing():
    return None

number = 7
"""

MISTAKES = {
    "shop": "must look like package.module:function",
    "shop:make-it": "must look like package.module:function",
    "absent:make_container": (
        "No module named 'absent'; install the module, or name its folder in PYTHONPATH"
    ),
    "shop:absent": (
        "module 'shop' has no attribute 'absent';"
        " install the module, or name its folder in PYTHONPATH"
    ),
} | {
    name: f"{name} must be a function that takes the settings and returns a Container"
    for name in ("shop:number", "shop:make_nothing", "shop:take_nothing")
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def test_commands_use_the_adapters_of_the_function(folder: Path) -> None:
    settings = {"CONTAINER": "shop:make_container", "BCRYPT_COST": 4}
    assert ordergate("migrate", cwd=folder, **settings).returncode == 0
    password = "a password of the test user"
    added = ordergate("users", "add", "alice", cwd=folder, PASSWORD=password, **settings)
    assert added.stdout.splitlines()[0] == "account_opened"


@pytest.mark.parametrize("command", ["purge", "serve"])
@pytest.mark.parametrize("name", MISTAKES)
def test_command_refuses_a_name_of_anything_else(folder: Path, name: str, command: str) -> None:
    line = error_line(ordergate(command, cwd=folder, CONTAINER=name))
    assert line == f"ORDERGATE_CONTAINER: {MISTAKES[name]}"


@pytest.mark.parametrize("name", MISTAKES)
def test_application_refuses_a_name_of_anything_else(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("ORDERGATE_CONTAINER", name)
    for create in (asgi.create, asgi.create_for_serve):
        with pytest.raises(SystemExit) as exit_:
            create()
        assert exit_.value.code == f"ordergate: ORDERGATE_CONTAINER: {MISTAKES[name]}"


def test_application_names_each_wrong_setting_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERGATE_BCRYPT_COST", "99")
    monkeypatch.setenv("ORDERGATE_ISUER", "x")
    with pytest.raises(SystemExit) as exit_:
        asgi.create_for_serve()
    assert str(exit_.value.code).splitlines() == [
        "ordergate: ORDERGATE_ISUER is not a setting; did you mean ORDERGATE_ISSUER?",
        "ordergate: ORDERGATE_BCRYPT_COST: must be a whole number from 4 to 20",
    ]
