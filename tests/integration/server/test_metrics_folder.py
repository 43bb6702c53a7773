"""The folder of metrics, its owner and its places."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import httpx2
import pytest
from prometheus_client.multiprocess import mark_process_dead

from ordergate.adapters.metrics.exporter import serve_metrics
from ordergate.adapters.metrics.worker_files import FOLDER, make_folder, take_place
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.observability.metrics import export_metrics
from ordergate.entrypoints.server.listening import CannotListen
from tests.support.program.command import SECONDS

MKDTEMP = "ordergate.adapters.metrics.worker_files.mkdtemp"


def test_folder_of_a_killed_server_is_removed_and_that_of_a_living_one_stays(
    temporary: Path,
) -> None:
    script = (
        "from ordergate.adapters.metrics.worker_files import make_folder\n"
        "with make_folder() as folder: print(folder, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        stale = Path(killed.stdout.readline().strip())
        with make_folder() as living:
            assert sorted(temporary.iterdir()) == sorted([stale, living])
        killed.kill()
    with make_folder() as living, make_folder() as another:
        assert sorted(temporary.iterdir()) == sorted([living, another])
    assert [*temporary.iterdir()] == []


def test_folder_is_not_removed_by_a_server_that_starts_at_that_moment(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_while_another_starts(*, prefix: str) -> str:
        made = mkdtemp(prefix=prefix)
        monkeypatch.setattr(MKDTEMP, mkdtemp)
        with make_folder():
            return made

    monkeypatch.setattr(MKDTEMP, make_while_another_starts)
    with make_folder() as folder:
        assert [*temporary.iterdir()] == [folder]
        assert os.environ[FOLDER] == str(folder)
        with make_folder():
            assert folder.is_dir()
    assert [*temporary.iterdir()] == []


def test_folder_is_locked_against_the_cleaning_of_old_files(temporary: Path) -> None:
    with make_folder() as folder:
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # systemd-tmpfiles does this, and goes on elsewhere
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(descriptor)
        for path in folder.iterdir():  # other programs do not
            path.unlink()
        with make_folder():
            assert folder.is_dir()


def test_worker_takes_a_free_place_after_the_scrape_that_frees_it(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Future[int]] = []
    done_in_scrape: list[int] = []
    free: Callable[[int, str], object] = mark_process_dead

    def free_while_a_worker_starts(place: int, path: str) -> None:
        taken.append(threads.submit(take_place, folder))
        try:
            done_in_scrape.append(taken[0].result(0.2))
        except TimeoutError:
            free(place, path)

    monkeypatch.setattr(
        "ordergate.adapters.metrics.exporter.mark_process_dead", free_while_a_worker_starts
    )
    with (
        make_folder() as folder,
        ThreadPoolExecutor(1) as threads,
        serve_metrics(folder, "127.0.0.1", 0, workers=1) as url,
    ):
        (folder / "0.place").touch()
        assert httpx2.get(f"{url}/metrics", timeout=SECONDS).status_code == 200
        assert done_in_scrape == []
        assert taken[0].result(SECONDS) == 0  # the scrape's own look at it is over
        assert "ordergate_workers 1.0\n" in httpx2.get(f"{url}/metrics", timeout=SECONDS).text


def test_place_without_locks_is_an_error(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks"):
        take_place(tmp_path)
    with (
        pytest.raises(
            CannotListen,
            match="cannot keep metrics in a temporary folder: No locks available; choose another",
        ),
        export_metrics(Settings(metrics_port=0), workers=1),
    ):
        pass
    assert [*temporary.iterdir()] == []


def test_missing_temporary_folder_is_an_error_of_the_command(
    temporary: Path,
) -> None:
    temporary.rmdir()
    with (
        pytest.raises(CannotListen, match="temporary folder: No such file or directory; choose"),
        export_metrics(Settings(metrics_port=0), workers=1),
    ):
        pass
