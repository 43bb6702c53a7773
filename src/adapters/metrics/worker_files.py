"""The files of metrics: a folder with a place for each worker.

prometheus_client names the files of a worker by its process id. These would become more with each
restart, and their totals must stay. A worker therefore takes the first free place instead, and goes
on with the totals of the worker that had it before. A place is taken while its file is locked,
and the system unlocks it however the process ends.

The server locks the folder itself. The lock says that the server lives, and systemd-tmpfiles leaves
old files below a locked folder alone.
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
_UNLOCKED_PREFIX = "ordergate-unlocked-"
_PLACE = "{}.place"
_TURN = "places.turn"


@contextmanager
def make_folder() -> Iterator[Path]:
    """Make a temporary folder, and name it to the workers.

    It is removed at the end, and so are folders of servers that were killed. Raises `OSError` if
    it cannot be made, or has no locks.
    """
    _remove_stale(Path(gettempdir()))
    made = Path(mkdtemp(prefix=_UNLOCKED_PREFIX))
    # Named later, because another server that starts removes unlocked folders of this name.
    folder = made.with_name(_PREFIX + made.name.removeprefix(_UNLOCKED_PREFIX))
    owner = _open_folder(made)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX)
        made.rename(folder)
        with _take_turn(folder):  # makes the file of the lock; workers may be unable to
            os.environ[FOLDER] = str(folder)
        yield folder
    finally:
        os.environ.pop(FOLDER, None)
        for each in (made, folder):
            shutil.rmtree(each, ignore_errors=True)
        os.close(owner)


def take_place(folder: Path) -> int:
    """Take the first free place until this process ends."""
    with _take_turn(folder):
        for place in count():
            if _lock(_open_file(folder / _PLACE.format(place))) is not None:
                return place
    raise AssertionError


@contextmanager
def hold_free_places(folder: Path) -> Iterator[list[int]]:
    """Yield the places of ended workers, and keep them free meanwhile."""
    with _take_turn(folder):
        yield [place for place, free in _list_places(folder) if free]


def count_taken_places(folder: Path) -> int:
    """Count the workers that live."""
    with _take_turn(folder):
        return sum(not free for _, free in _list_places(folder))


def _list_places(folder: Path) -> Iterator[tuple[int, bool]]:
    """Yield each place, and whether it is free."""
    for path in folder.glob(_PLACE.format("*")):
        descriptor = _lock(_open_file(path))
        if descriptor is not None:
            os.close(descriptor)
        yield int(path.stem), descriptor is not None


def _remove_stale(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = _open_folder(folder)
            if os.fstat(descriptor).st_uid != os.geteuid():
                os.close(descriptor)
            elif (owner := _lock(descriptor)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(owner)


@contextmanager
def _take_turn(folder: Path) -> Iterator[None]:
    """Exclude others from the places.

    Reading the state of a place locks it for a moment, so others would see it as taken.
    """
    descriptor = _open_file(folder / _TURN)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lock(descriptor: int) -> int | None:
    """Lock an open file until it is closed.

    Returns `None`, and closes it, if it is locked already.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor
