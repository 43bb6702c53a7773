"""SIGINT, SIGTERM and SIGHUP for real processes, also for process 1."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.program.captured_output import run_program
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    clean_environment,
    on_linux,
    ordergate,
    seed_folder,
    wait_until,
)
from tests.support.program.server import Server, Start

ENDINGS = [
    (signal.SIGTERM, "ended by SIGTERM"),
    (signal.SIGHUP, "ended by SIGHUP"),
    (signal.SIGINT, "interrupted"),
]
AS_PROCESS_1 = ["unshare", "--pid", "--fork", "--kill-child"]


def can_be_process_1() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and run_program([*AS_PROCESS_1, "true"]).returncode == 0


needs_process_1 = pytest.mark.skipif(
    not can_be_process_1(), reason="a process namespace needs Linux and its permission"
)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a large database and its backup."""
    return seed_folder(tmp_path_factory.mktemp("seeded"), orders=50_000)


def command(
    *arguments: object, cwd: Path, prefix: list[str] | None = None
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*(prefix or []), sys.executable, "-m", "ordergate.entrypoints", *map(str, arguments)],
        cwd=cwd,
        env=clean_environment(PASSWORD=PASSWORD, **CHEAP),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def hidden(folder: Path) -> list[Path]:
    return list(folder.glob(".ordergate-*"))


def children(pid: int) -> list[int]:
    """Return the children of a process (Linux)."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def stopped_while_copying(
    *arguments: object, cwd: Path, into: Path, prefix: list[str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Stop a command while it copies; return its process and its id."""
    process = command(*arguments, cwd=cwd, prefix=prefix)
    deadline = time.monotonic() + SECONDS
    while not any(each.stat().st_size for each in into.glob(".ordergate-*/copy.db")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
    pid = children(process.pid)[0] if prefix else process.pid
    os.kill(pid, signal.SIGSTOP)
    assert hidden(into)
    try:
        yield process, pid
    finally:
        if process.poll() is None:
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def resume(pid: int, *numbers: int) -> None:
    for number in numbers:
        os.kill(pid, number)
    os.kill(pid, signal.SIGCONT)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("number", "reason"), ENDINGS)
def test_signal_during_backup_leaves_no_copy(home: Path, number: int, reason: str) -> None:
    with stopped_while_copying("backup", "new.db", cwd=home, into=home) as (process, pid):
        resume(pid, number)
        assert process.communicate(timeout=SECONDS) == ("", f"ordergate: {reason}\n")
    assert process.returncode == 128 + number
    assert names(home) == {".ordergate", "backup.db"}


def test_signal_during_restore_does_not_change_the_database(home: Path) -> None:
    state = home / ".ordergate"
    before = (state / "ordergate.db").read_bytes()
    restore = ("restore", "backup.db", "--replace")
    with stopped_while_copying(*restore, cwd=home, into=state) as (process, pid):
        resume(pid, signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert names(state) == {"ordergate.db"}
    assert (state / "ordergate.db").read_bytes() == before


def test_second_signal_does_not_stop_the_cleanup(home: Path) -> None:
    with stopped_while_copying("backup", "new.db", cwd=home, into=home) as (process, pid):
        resume(pid, signal.SIGTERM, signal.SIGHUP)
        process.communicate(timeout=SECONDS)
    assert process.returncode in {128 + signal.SIGTERM, 128 + signal.SIGHUP}
    assert names(home) == {".ordergate", "backup.db"}


@needs_process_1
def test_command_as_process_1_cleans_up(home: Path) -> None:
    with stopped_while_copying("backup", "new.db", cwd=home, into=home, prefix=AS_PROCESS_1) as (
        process,
        pid,
    ):
        resume(pid, signal.SIGTERM)
        assert process.communicate(timeout=SECONDS) == ("", "ordergate: ended by SIGTERM\n")
    assert process.returncode == 128 + signal.SIGTERM
    assert names(home) == {".ordergate", "backup.db"}


def test_copy_of_a_killed_backup_is_removed_by_the_next_one(home: Path) -> None:
    with stopped_while_copying("backup", "new.db", cwd=home, into=home) as (process, pid):
        (abandoned,) = hidden(home)
        assert ordergate("backup", "second.db", cwd=home).returncode == 0
        assert hidden(home) == [abandoned]  # its process lives
        os.kill(pid, signal.SIGKILL)
        process.communicate()
    assert hidden(home) == [abandoned]
    assert ordergate("backup", "third.db", cwd=home).returncode == 0
    assert names(home) == {".ordergate", "backup.db", "second.db", "third.db"}


def test_copy_of_a_killed_restore_is_removed_by_the_next_one(home: Path) -> None:
    state = home / ".ordergate"
    restore = ("restore", "backup.db", "--replace")
    with stopped_while_copying(*restore, cwd=home, into=state) as (process, pid):
        os.kill(pid, signal.SIGKILL)
        process.communicate()
    assert hidden(state)
    assert ordergate(*restore, cwd=home).returncode == 0
    assert not hidden(state)


def test_cleanup_removes_no_folder_of_another_process(home: Path) -> None:
    kept = [".ordergate-notes", ".ordergate-0123456789abcdef0", ".cache.0123456789abcdef"]
    for name in kept:
        (home / name).mkdir()
    assert ordergate("backup", "new.db", cwd=home).returncode == 0
    assert names(home) == {".ordergate", "backup.db", "new.db", *kept}


@pytest.mark.parametrize(("number", "reason"), ENDINGS)
def test_signal_while_the_program_is_loaded_ends_it(
    tmp_path: Path, number: int, reason: str
) -> None:
    code = f"""
import signal, sys
from ordergate.entrypoints.__main__ import main
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "ordergate.entrypoints.cli.main":
            signal.raise_signal({number})
sys.meta_path.insert(0, Finder())
main()
"""
    result = run(code, tmp_path)
    assert (result.returncode, result.stderr) == (128 + number, f"ordergate: {reason}\n")


@pytest.mark.parametrize(("number", "reason"), ENDINGS)
def test_signal_in_a_finalizer_ends_the_command(tmp_path: Path, number: int, reason: str) -> None:
    """Python drops what a finalizer raises."""
    code = f"""
import signal, sys, time, types
import ordergate.entrypoints.cli
from ordergate.entrypoints.__main__ import main
class Finalized:
    def __del__(self):
        signal.raise_signal({number})
def command():
    Finalized()
    time.sleep({SECONDS})
ordergate.entrypoints.cli.main = types.SimpleNamespace(main=command)
main()
"""
    result = run(code, tmp_path)
    assert (result.returncode, result.stderr) == (128 + number, f"ordergate: {reason}\n")


def test_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    code = """
import signal, types
import ordergate.entrypoints.cli
from ordergate.entrypoints.__main__ import main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def command():
    signal.raise_signal(signal.SIGHUP)
ordergate.entrypoints.cli.main = types.SimpleNamespace(main=command)
main()
"""
    result = run(code, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def run(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return run_program(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS * 2,
    )


def test_signal_during_seed_leaves_an_empty_database(home: Path) -> None:
    state = home / ".ordergate"
    shutil.rmtree(state)
    assert ordergate("migrate", cwd=home).returncode == 0
    process = command("seed", "--users", 9, "--orders", 50_000_000, cwd=home)
    try:
        wait_until((state / "ordergate.db-wal").exists)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    finally:
        process.kill()  # it would run for an hour
    assert process.returncode == 128 + signal.SIGTERM
    assert names(state) == {"ordergate.db"}
    seeded_again = ordergate(
        "seed", "--users", 1, "--orders", 1, cwd=home, PASSWORD=PASSWORD, **CHEAP
    )
    assert seeded_again.returncode == 0


def test_terminated_copy_reports_how_to_continue(home: Path) -> None:
    source = f"sqlite:///{home}/.ordergate/ordergate.db"
    process = command("copy", "--from", source, "--to", f"sqlite:///{home}/to.db", cwd=home)
    wait_until((home / "to.db-wal").exists)
    process.send_signal(signal.SIGTERM)
    _, error_line = process.communicate(timeout=SECONDS)
    assert error_line == "Run the same command again to go on.\nordergate: ended by SIGTERM\n"
    assert process.returncode == 128 + signal.SIGTERM
    again = ordergate("copy", "--from", source, "--to", f"sqlite:///{home}/to.db", cwd=home)
    assert "50000 orders" in again.stdout


# Servers


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    assert ordergate("migrate", cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize(
    ("workers", "number"),
    [(1, signal.SIGTERM), (1, signal.SIGHUP), (2, signal.SIGTERM), (2, signal.SIGHUP)],
)
def test_server_answers_started_requests_after_a_signal(
    migrated: Path, start: Start, workers: int, number: int
) -> None:
    drain = {"DRAIN_SECONDS": 3_600} if number == signal.SIGHUP else {}  # it drains none
    server = start("serve", "--workers", workers, cwd=migrated, **CHEAP, **drain)
    with started_request(server) as connection:
        os.kill(server.process.pid, number)
        wait_until(lambda: "Shutting down" in "".join(server.output))
        assert finish(connection).startswith(b"HTTP/1.1 400")
    if workers == 2 and number == signal.SIGHUP:  # which replaces one worker after the other
        assert httpx2.get(f"{server.url}/livez", timeout=SECONDS).status_code == 200
        assert server.stop(signal.SIGINT) == 0
    else:
        assert server.process.wait(SECONDS) == 0


def test_ctrl_c_ends_the_demo_with_0(tmp_path: Path, start: Start) -> None:
    server = start("demo", cwd=tmp_path)
    wait_until(lambda: "startup complete" in "".join(server.output))
    assert server.stop(signal.SIGINT) == 0
    assert "ordergate: " not in "".join(server.output)


@on_linux
def test_workers_answer_started_requests_and_end_when_the_supervisor_is_killed(
    migrated: Path, start: Start
) -> None:
    server = start("serve", "--workers", 2, cwd=migrated, **CHEAP, DRAIN_SECONDS=3_600)
    wait_until(lambda: "".join(server.output).count("startup complete") == 2)
    workers = children(server.process.pid)
    assert len(workers) >= 2
    with started_request(server) as connection:
        server.process.kill()
        wait_until(lambda: "".join(server.output).count("Shutting down") == 2)
        assert finish(connection).startswith(b"HTTP/1.1 400")
    wait_until(lambda: not any(is_running(worker) for worker in workers))
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{server.url}/livez")
    assert "Traceback" not in "".join(server.output)


@on_linux
def test_ctrl_c_while_workers_start_ends_them_quietly(migrated: Path, start: Start) -> None:
    server = start("serve", "--workers", 2, cwd=migrated, **CHEAP)
    wait_until(lambda: len(children(server.process.pid)) > 2)  # the resource tracker is one
    assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in "".join(server.output)
    assert "died" not in "".join(server.output)


@needs_process_1
def test_server_as_process_1_drains(migrated: Path) -> None:
    process = command("serve", "--port", 0, cwd=migrated, prefix=AS_PROCESS_1)
    assert process.stderr is not None
    for line in process.stderr:
        if "startup complete" in line:
            break
    os.kill(children(process.pid)[0], signal.SIGTERM)
    _, log = process.communicate(timeout=SECONDS)
    assert "Application shutdown complete" in log
    assert process.returncode == 0


@contextmanager
def started_request(server: Server) -> Iterator[socket.socket]:
    """Send a request without the end of its body."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(
            b"POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 23\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # so it is being answered
        yield connection


def finish(connection: socket.socket) -> bytes:
    connection.sendall(b"username=a&password=bcd")
    answer: Any = b""
    while data := connection.recv(4096):
        answer += data
    return bytes(answer)
