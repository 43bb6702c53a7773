"""Files of the service: permissions, modes and owners."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import (
    Finding,
    report_failure,
    report_ok,
    report_warning,
    write_count,
)
from ordergate.entrypoints.factories.files import (
    ServiceFile,
    describe_obstacle,
    list_service_files,
    name_user,
)

CHECK = "files"


async def check_files(container: Container) -> Sequence[Finding]:
    """Check that this process, and no other user, can use the files."""
    files = list(list_service_files(container.settings()))
    folders = dict.fromkeys(file.path.parent for file in files if file.is_written)
    findings = [
        *(finding for file in files for finding in _examine_file(file)),
        *(finding for folder in folders for finding in _examine_folder(folder)),
        *_examine_user(folders),
    ]
    if findings or not files:
        return findings
    there = sum(_find_status(file.path) is not None for file in files)
    if not there:
        return [report_ok(CHECK, "none is there yet, and this process can make them")]
    return [report_ok(CHECK, f"{write_count(there, 'file')}, closed to other users")]


def _examine_file(file: ServiceFile) -> Iterator[Finding]:
    path = file.path
    if obstacle := describe_obstacle(file):
        use = "read and written" if file.is_written else "read"
        yield report_failure(
            CHECK, f"{path} cannot be {use}: {obstacle}", "run this as the service's user"
        )
        return
    status = _find_status(path)
    if status is None:
        return
    if status.st_mode & stat.S_IRWXO:
        mode = stat.S_IMODE(status.st_mode)
        yield report_warning(
            CHECK, f"{path} is open to every user (mode {mode:04o})", f"run `chmod o= {path}`"
        )
    folder = path.parent.stat()
    if file.is_written and status.st_uid != folder.st_uid:
        yield report_warning(
            CHECK,
            f"{path} belongs to {name_user(status.st_uid)},"
            f" its folder to {name_user(folder.st_uid)}",
            f"run `chown {folder.st_uid}:{folder.st_gid} {path}`",
        )


def _examine_folder(folder: Path) -> Iterator[Finding]:
    status = _find_status(folder)
    if status is not None and status.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        yield report_warning(
            CHECK, f"every user can replace files in {folder}", f"run `chmod o-w {folder}`"
        )


def _examine_user(folders: Iterable[Path]) -> Iterator[Finding]:
    owners = {status.st_uid for each in folders if (status := _find_status(each))}
    if os.geteuid() == 0 and (others := owners - {0}):
        yield report_warning(
            CHECK,
            f"root may use every file, and the files belong to {name_user(min(others))}",
            "run this as that user, to see the permissions that it lacks",
        )


def _find_status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # it is missing, or a finding says what is forbidden
        return None
