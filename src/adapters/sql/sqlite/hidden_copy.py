"""Hidden files that get their name when they are complete."""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ordergate.adapters.system import files
from ordergate.application.errors import BackupRefused

_HIDDEN = re.compile(r"\.ordergate-[0-9a-f]{16}")


def refuse_existing(file: Path) -> None:
    """Raise `BackupRefused` if the file exists."""
    if os.path.lexists(file):
        raise BackupRefused(f"{file} exists; name a new file")


def publish(copy: Path, file: Path) -> None:
    """Give a complete copy its name, and write both to the disk.

    Raises `BackupRefused` if another file has this name by now.
    """
    with refuse_on_os_error(file):
        _sync(copy)
        try:
            file.hardlink_to(copy)
        except OSError:  # it exists, or the file system has no links
            refuse_existing(file)
            copy.replace(file)
        _sync(file.parent)


@contextmanager
def copy_beside(file: Path) -> Iterator[Path]:
    """Create an empty file in a hidden folder; remove both afterwards.

    Only the owner can read them. This process locks the folder, so the next command can remove the
    folder of a killed process. A lock of the file itself would conflict with SQLite on macOS.
    """
    _remove_abandoned(file.parent)
    with ExitStack() as stack:
        with refuse_on_os_error(file):
            copy = _make_hidden_folder(file.parent, stack) / "copy.db"
            os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield copy


def _make_hidden_folder(parent: Path, stack: ExitStack) -> Path:
    while True:
        folder = parent / f".ordergate-{secrets.token_hex(8)}"
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            lock = _open_folder(folder)
        except FileNotFoundError:
            continue
        stack.callback(os.close, lock)
        with suppress(OSError):  # a network file system may have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # until it was locked, another command could take it for abandoned
            return folder


def _remove_abandoned(parent: Path) -> None:
    """Remove unlocked hidden folders, which killed processes left."""
    with suppress(OSError):
        for folder in parent.iterdir():
            if _HIDDEN.fullmatch(folder.name) and folder.lstat().st_uid == os.geteuid():
                with suppress(OSError), ExitStack() as stack:
                    lock = _open_folder(folder)
                    stack.callback(os.close, lock)
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)


def _open_folder(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextmanager
def refuse_on_os_error(file: Path) -> Iterator[None]:
    """Raise `BackupRefused` for errors of the file system."""
    try:
        yield
    except OSError as error:
        raise BackupRefused(f"{file}: {files.reason(error, file)}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
