"""The units of deploy/, checked by systemd."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ordergate.entrypoints.config.settings import Settings
from tests.support.program.captured_output import run_program
from tests.support.programs import find_program

SYSTEMD = Path(__file__).parents[3] / "deploy" / "systemd"
COMMAND = "/opt/ordergate/bin/ordergate"
MAX_EXPOSURE = 15
"""Tenths: 0 is the best, 100 the worst."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units, with a command that this machine has."""
    shutil.copytree(SYSTEMD, tmp_path, dirs_exist_ok=True)
    installed = Path(sys.executable).with_name("ordergate")
    for unit in tmp_path.glob("*.service"):
        unit.write_text(unit.read_text().replace(COMMAND, str(installed)))
    return tmp_path


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = find_program("systemd-analyze")
    return run_program([program, *map(str, arguments)], capture_output=True, text=True)


def test_units_are_valid(units: Path) -> None:
    files = [*units.glob("*.service"), *units.glob("*.socket"), *units.glob("*.timer")]
    assert len(files) == 8
    checked = analyze("verify", "--man=no", *files)
    assert [line for line in checked.stderr.splitlines() if str(units) in line] == []
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["serve", "purge", "rotate-keys", "backup"])
def test_unit_is_exposed_little(units: Path, name: str) -> None:
    unit = units / f"ordergate-{name}.service"
    threshold = f"--threshold={MAX_EXPOSURE}"
    rated = analyze("security", "--offline=true", threshold, "--no-pager", unit)
    assert rated.returncode == 0, rated.stdout[-200:]


def test_socket_has_the_default_address_of_its_server() -> None:
    (socket,) = SYSTEMD.glob("*.socket")
    assert socket.with_suffix(".service").exists()
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    address = f"{defaults['listen_host']}:{defaults['listen_port']}"
    assert re.findall(r"^ListenStream=(.*)$", socket.read_text(), re.MULTILINE) == [address]


def test_every_timer_starts_a_unit() -> None:
    timers = sorted(SYSTEMD.glob("*.timer"))
    assert len(timers) == 3
    for timer in timers:
        assert timer.with_suffix(".service").exists()
        assert re.search(r"^Persistent=yes$", timer.read_text(), re.MULTILINE)
