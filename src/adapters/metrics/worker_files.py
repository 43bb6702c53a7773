"""The files of metrics: a folder with a place for each worker.

prometheus_client names the files of a worker by its process id. These would become more with each
restart, and their totals must stay. A worker therefore takes the first free place instead, and goes
on with the totals of the worker that had it before. A place is taken while its file is locked,
and the system unlocks it however the process ends.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import gettempdir, mkdtemp

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of prometheus_client that names the folder."""

_PREFIX = "ordergate-metrics-"
_OWNER = "server.lock"
_PLACE = "{}.place"


@contextmanager
def make_folder() -> Iterator[Path]:
    """Make a temporary folder, and name it to the workers.

    It is removed at the end, and so are folders of servers that were killed.
    """
    _remove_stale(Path(gettempdir()))
    folder = Path(mkdtemp(prefix=_PREFIX))
    owner = _lock(folder / _OWNER)
    os.environ[FOLDER] = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop(FOLDER, None)
        shutil.rmtree(folder, ignore_errors=True)
        if owner is not None:
            os.close(owner)


def take_place(folder: Path) -> int:
    """Take the first free place until this process ends."""
    for place in count():
        if _lock(folder / _PLACE.format(place)) is not None:
            return place
    raise AssertionError


def count_taken_places(folder: Path) -> int:
    """Count the workers that live."""
    return len(list(folder.glob(_PLACE.format("*")))) - len(list_free_places(folder))


def list_free_places(folder: Path) -> list[int]:
    """Return the places of workers that have ended."""
    free = []
    for path in folder.glob(_PLACE.format("*")):
        descriptor = _lock(path, fcntl.LOCK_SH)  # or scrapes at one time would hinder each other
        if descriptor is not None:
            os.close(descriptor)
            free.append(int(path.stem))
    return free


def _remove_stale(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            owner = _lock(folder / _OWNER)
            if owner is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(owner)


def _lock(path: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """Lock a file until the returned descriptor is closed.

    Returns `None` if the file is locked already.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
