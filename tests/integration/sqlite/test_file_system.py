"""Commands on a full disk, a read-only file system, another owner's files."""

import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ordergate.adapters.sql.sqlite.file import configure, connect
from tests.support.program.captured_output import run_program
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    clean_environment,
    error_line,
    ordergate,
    seed_folder,
)
from tests.support.program.server import Start
from tests.support.storage.sqlite import execute

NOBODY = 65_534
DATABASE = Path(".ordergate") / "ordergate.db"
KEYS = Path(".ordergate") / "signing-keys.json"


def has_namespaces() -> bool:
    unshare = shutil.which("unshare")
    mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]
    return unshare is not None and run_program(mount).returncode == 0


needs_mounts = pytest.mark.skipif(
    sys.platform != "linux" or not has_namespaces(), reason="mounting needs Linux and root"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database of about 2 MiB, and more.

    It also has a backup and keys.
    """
    folder = seed_folder(tmp_path_factory.mktemp("seeded"), orders=10_000)
    assert ordergate("keys", "new", cwd=folder).returncode == 0
    return folder


def run(
    command: list[str],
    cwd: Path,
    preexec: Callable[[], None] | None = None,
    **settings: Any,
) -> "subprocess.CompletedProcess[str]":
    password = {} if "PASSWORD_FILE" in settings else {"PASSWORD": PASSWORD}
    return run_program(
        command,
        cwd=cwd,
        env=clean_environment(**password, **CHEAP, **settings),
        preexec_fn=preexec,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS * 2,
    )


def limited(size: int, *arguments: object, cwd: Path) -> Any:
    """Run a command that cannot make a file larger than `size` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [sys.executable, "-m", "ordergate.entrypoints", *map(str, arguments)]
    return run(command, cwd, limit)


def mounted(mounts: str, *arguments: object, cwd: Path, **settings: Any) -> Any:
    """Run a command after a shell script with mounts of its own."""
    script = f'set -e; {mounts}; exec "$0" -m ordergate.entrypoints "$@"'
    shell = ["unshare", "--mount", "sh", "-c", script, sys.executable, *map(str, arguments)]
    return run(shell, cwd, **settings)


# Full


def test_backup_that_does_not_fit_names_its_file(home: Path) -> None:
    result = limited(500_000, "backup", "new.db", cwd=home)
    assert error_line(result) == "new.db: SQLite: disk I/O error"
    assert {path.name for path in home.iterdir()} == {".ordergate", "backup.db"}


@needs_mounts
def test_backup_to_a_full_disk_names_its_file(home: Path) -> None:
    (home / "full").mkdir()
    mount = "mount -t tmpfs -o size=1m tmpfs full"
    result = mounted(mount, "backup", "full/new.db", cwd=home)
    assert error_line(result) == "full/new.db: SQLite: database or disk is full"


@needs_mounts
def test_restore_to_a_full_disk_names_the_database(home: Path) -> None:
    (home / "full").mkdir()
    mount = "mount -t tmpfs -o size=1m tmpfs full"
    result = mounted(mount, "restore", "backup.db", cwd=home, HOME="full")
    assert error_line(result) == "full/ordergate.db: SQLite: database or disk is full"


def test_database_that_cannot_grow_is_named(home: Path) -> None:
    size = (home / DATABASE).stat().st_size
    arguments = ["seed", "--users", 1, "--orders", 100_000]
    shutil.rmtree(home / ".ordergate")
    assert ordergate("migrate", cwd=home).returncode == 0
    line = error_line(limited(size, *arguments, cwd=home))
    assert line.endswith(f"SQLite: disk I/O error ({DATABASE})")


@needs_mounts
def test_key_file_on_a_full_disk_is_named(home: Path) -> None:
    (home / "full").mkdir()
    mount = (
        "mount -t tmpfs -o size=64k tmpfs full; cp .ordergate/signing-keys.json full; "
        "cat /dev/zero >full/rest 2>/dev/null || true; cp full/signing-keys.json before"
    )
    after = "set +e; "
    script = f'{mount}; {after}"$0" -m ordergate.entrypoints keys new; echo $?; ls -A full'
    shell = ["unshare", "--mount", "sh", "-c", script, sys.executable]
    result = run(shell, home, HOME="full")
    assert result.stderr == (
        "ordergate: the signing keys full/signing-keys.json cannot be written: "
        "No space left on device\n"
    )
    assert result.stdout.split() == ["1", "rest", "signing-keys.json", "signing-keys.json.lock"]


# Without a temporary folder


@needs_mounts
@pytest.mark.parametrize(
    "arguments",
    [
        ["purge"],
        ["copy", "--from", "sqlite:///{}/ordergate.db", "--to", "sqlite:///{}/to.db"],
        ["backup", "{}/new.db"],
        ["restore", "{}/backup.db", "--replace"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_command_needs_no_temporary_folder(home: Path, arguments: list[str]) -> None:
    """Every file system is read-only but for the database's folder."""
    execute(
        home / DATABASE,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
        "INSERT INTO idempotency_keys (owner_id, key, order_id, expires_at) "
        "SELECT 1, hex(randomblob(60)), 1, '2020-01-01 00:00:00' FROM n",
    )
    shutil.copy(home / "backup.db", home / ".ordergate")
    state = Path("/mnt")
    mount = (
        f"mount --bind {home}/.ordergate {state}; mount -o remount,bind,ro /; "
        "for each in /tmp /var/tmp; do mount -t tmpfs -o ro tmpfs $each; done; cd /"
    )
    given = [each.format(state) for each in arguments]
    result = mounted(mount, *given, cwd=home, HOME=state)
    assert (result.returncode, result.stderr) == (0, "")


# Owners


def run_as_unprivileged_user(*arguments: object, cwd: Path, **settings: Any) -> Any:
    """Run a command as another user than root.

    The user need not be able to read the interpreter's files.
    """
    code = f"""
import os, sys
import _strptime, alembic.command, ordergate.entrypoints.cli.main, ordergate.adapters.sql.migrator
from ordergate.entrypoints.__main__ import main
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
main()
"""
    return run([sys.executable, "-c", code, *map(str, arguments)], cwd, **settings)


def owner_and_mode(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


@pytest.fixture
def unprivileged_home() -> Iterator[Path]:
    """Return another user's folder inside a folder that all may search."""
    folder = Path(tempfile.mkdtemp())
    (folder / ".ordergate").mkdir(mode=0o700)
    for each in (folder, folder / ".ordergate"):
        os.chown(each, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


@needs_root
def test_key_rotation_by_root_keeps_owner_and_mode(unprivileged_home: Path) -> None:
    assert run_as_unprivileged_user("keys", "new", cwd=unprivileged_home).returncode == 0
    (unprivileged_home / KEYS).chmod(0o640)
    os.chown(unprivileged_home / KEYS, NOBODY, 12)
    assert ordergate("keys", "rotate", "--now", cwd=unprivileged_home).returncode == 0
    assert owner_and_mode(unprivileged_home / KEYS) == (NOBODY, 12, 0o640)
    (unprivileged_home / KEYS).chmod(0o600)
    os.chown(unprivileged_home / KEYS, NOBODY, NOBODY)
    assert (
        run_as_unprivileged_user("keys", "rotate", "--now", cwd=unprivileged_home).returncode == 0
    )


@needs_root
def test_files_made_by_root_belong_to_the_owner_of_the_folder(unprivileged_home: Path) -> None:
    (unprivileged_home / ".ordergate").rmdir()
    for command in (["migrate"], ["keys", "new"]):
        assert ordergate(*command, cwd=unprivileged_home).returncode == 0
    for name in ("", "ordergate.db", "signing-keys.json", "signing-keys.json.lock"):
        path = unprivileged_home / ".ordergate" / name
        assert owner_and_mode(path) == (NOBODY, NOBODY, 0o600 if name else 0o700), name
    for command in (["users", "add", "alice"], ["keys", "rotate", "--now"], ["purge"]):
        done = run_as_unprivileged_user(*command, cwd=unprivileged_home)
        assert done.returncode == 0, done.stderr


@needs_root
def test_journals_that_root_makes_belong_to_the_service(unprivileged_home: Path) -> None:
    assert run_as_unprivileged_user("migrate", cwd=unprivileged_home).returncode == 0
    with closing(connect(unprivileged_home / DATABASE)) as reader:
        configure(reader)
        reader.execute("SELECT count(*) FROM users").fetchone()
        owners = {
            path.name: path.stat().st_uid for path in (unprivileged_home / ".ordergate").iterdir()
        }
        assert owners == dict.fromkeys(
            ["ordergate.db", "ordergate.db-wal", "ordergate.db-shm"], NOBODY
        )
        assert (
            run_as_unprivileged_user("users", "add", "alice", cwd=unprivileged_home).returncode == 0
        )


@needs_root
@pytest.mark.parametrize(
    "arguments",
    [["keys", "list"], ["keys", "new"], ["migrate"], ["users", "add", "alice"], ["backup", "b.db"]],
    ids=" ".join,
)
def test_missing_permission_is_explained(unprivileged_home: Path, arguments: list[str]) -> None:
    for command in (["migrate"], ["keys", "new"]):
        assert ordergate(*command, cwd=unprivileged_home).returncode == 0
    state = unprivileged_home / ".ordergate"
    for each in (state, state / "ordergate.db", state / "signing-keys.json"):
        os.chown(each, 0, 0)
    line = error_line(run_as_unprivileged_user(*arguments, cwd=unprivileged_home))
    runs_as = "this process runs as nobody"
    assert line.endswith(f"{state} is owned by root with mode 0700; {runs_as}")
    state.chmod(0o777)
    line = error_line(run_as_unprivileged_user(*arguments, cwd=unprivileged_home))
    file = "signing-keys.json" if arguments[0] == "keys" else "ordergate.db"
    assert line.endswith(f"{file} is owned by root with mode 0600; {runs_as}")


@needs_root
@pytest.mark.parametrize("command", [["keys", "new"], ["migrate"]], ids=" ".join)
def test_missing_permission_to_make_folders_is_explained(
    unprivileged_home: Path, command: list[str]
) -> None:
    closed = unprivileged_home / "closed"
    closed.mkdir(mode=0o755)
    result = run_as_unprivileged_user(*command, cwd=unprivileged_home, HOME=closed / "a" / "b")
    assert error_line(result).endswith(
        f"{closed} is owned by root with mode 0755; this process runs as nobody"
    )


@needs_root
@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("SIGNING_KEY_FILE", "{file} cannot be read: "),
        ("SIGNING_SECRET_FILE", "cannot read {file}: "),
        ("PASSWORD_FILE", "cannot read {file}: "),
    ],
)
def test_missing_permission_for_a_file_of_the_settings_is_explained(
    unprivileged_home: Path, setting: str, found: str
) -> None:
    assert ordergate("migrate", cwd=unprivileged_home).returncode == 0
    folder = unprivileged_home / "secrets"
    file = folder / "secret"
    folder.mkdir(mode=0o755)
    file.touch(mode=0o600)
    add = ("users", "add", "alice")
    for obstacle in (file, folder):
        result = run_as_unprivileged_user(*add, cwd=unprivileged_home, **{setting: file})
        mode = stat.S_IMODE(obstacle.stat().st_mode)
        assert error_line(result) == (
            f"ORDERGATE_{setting}: {found.format(file=file)}Permission denied; {obstacle} is owned"
            f" by root with mode {mode:04o}; this process runs as nobody"
        )
        folder.chmod(0o700)


@needs_root
def test_keys_of_another_owner_are_not_taken_over(unprivileged_home: Path) -> None:
    """The group may read and could replace the files, but not chown."""
    assert run_as_unprivileged_user("keys", "new", cwd=unprivileged_home).returncode == 0
    os.chown(unprivileged_home / KEYS, 0, NOBODY)
    (unprivileged_home / KEYS).chmod(0o640)
    before = (unprivileged_home / KEYS).read_bytes()
    result = run_as_unprivileged_user("keys", "rotate", "--now", cwd=unprivileged_home)
    assert result.returncode == 1
    assert result.stderr.endswith("owned by root with mode 0640; this process runs as nobody\n")
    assert (unprivileged_home / KEYS).read_bytes() == before
    assert {path.name for path in (unprivileged_home / ".ordergate").iterdir()} == {
        "signing-keys.json",
        "signing-keys.json.lock",
    }


def ordinary_umask() -> None:
    os.umask(0o022)


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (["migrate"], {"HOME": "a/b/home"}),
        (["keys", "new"], {"HOME": "a/b/home"}),
        (["restore", "backup.db"], {"HOME": "a/b/home"}),
        (["migrate"], {"DATABASE_URL": "sqlite:///a/b/home/orders.db"}),
    ],
)
def test_folders_above_the_state_get_ordinary_modes(
    home: Path, command: list[str], settings: dict[str, str]
) -> None:
    arguments = [sys.executable, "-m", "ordergate.entrypoints", *command]
    assert run(arguments, home, ordinary_umask, **settings).returncode == 0
    modes = [stat.S_IMODE((home / path).stat().st_mode) for path in ("a", "a/b", "a/b/home")]
    assert modes == [0o755, 0o755, 0o700]


def test_state_that_the_demo_makes_is_private(tmp_path: Path, start: Start) -> None:
    start("demo", cwd=tmp_path)
    for path in (".ordergate", ".ordergate/demo"):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o700


@needs_root
def test_doctor_names_the_file_that_its_user_cannot_use(unprivileged_home: Path) -> None:
    keys, database = unprivileged_home / KEYS, unprivileged_home / DATABASE
    assert ordergate("migrate", cwd=unprivileged_home).returncode == 0
    keys.write_text("{}")
    keys.chmod(0o600)
    done = run_as_unprivileged_user("doctor", cwd=unprivileged_home)
    assert done.returncode == 1
    files, reading, *_ = done.stdout.splitlines()[1:]
    assert files == (
        f"failed   files        {keys} cannot be read and written: {keys} is owned by root with"
        " mode 0600; this process runs as nobody; run this as the service's user"
    )
    assert reading.startswith("failed   keys         the signing keys .ordergate/signing-keys.json")
    keys.unlink()
    database.parent.chmod(0o500)
    done = run_as_unprivileged_user("doctor", cwd=unprivileged_home)
    found = f"{database} cannot be read and written: {database.parent} is owned by nobody"
    assert f"failed   files        {found} with mode 0500" in done.stdout


@needs_root
def test_doctor_of_root_names_files_of_root_among_those_of_the_service(
    unprivileged_home: Path,
) -> None:
    database = unprivileged_home / DATABASE
    assert ordergate("migrate", cwd=unprivileged_home).returncode == 0
    os.chown(database, 0, 0)
    done = ordergate("doctor", cwd=unprivileged_home, **CHEAP)
    owner, user = (line for line in done.stdout.splitlines() if line[9:14] == "files")
    command = f"chown {NOBODY}:{NOBODY} {database}"
    assert owner == (
        f"warning  files        {database} belongs to root, its folder to nobody; run `{command}`"
    )
    assert user == (
        "warning  files        root may use every file, and the files belong to nobody; run this as"
        " that user, to see the permissions that it lacks"
    )
