"""The files of the configured service, and who may use them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ordergate.adapters.system import files
from ordergate.entrypoints.config.environment import find_secret_files
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import list_database_files


class ServiceFile(NamedTuple):
    """A file that the service reads, and writes if `is_written`.

    It need not exist yet if it is written.
    """

    path: Path
    is_written: bool


def list_service_files(settings: Settings) -> Iterator[ServiceFile]:
    """Yield the files of the database, keys and secrets."""
    for path in list_database_files(settings):
        yield ServiceFile(path, is_written=True)
    if settings.signing_key_file is not None:
        yield ServiceFile(settings.signing_key_file.absolute(), is_written=False)
    elif settings.issues_tokens and settings.signing_secret is None:
        yield ServiceFile(settings.signing_keys_file.absolute(), is_written=True)
    if settings.tls_key_file is not None:
        yield ServiceFile(settings.tls_key_file.absolute(), is_written=False)
    for name in find_secret_files(Settings.model_fields).values():
        yield ServiceFile(Path(name).absolute(), is_written=False)


def describe_obstacle(file: ServiceFile) -> str | None:
    """Say whose permissions keep this process from a file, or return `None`.

    The parent of a missing file counts for it, because it will be made there.
    """
    path = file.path
    while not _exists(path.parent) and path != path.parent:
        path = path.parent
    if not file.is_written and os.access(path, os.R_OK):
        return None
    obstacle = files.find_obstacle(path)
    return files.read_permissions(obstacle) if obstacle else None


def name_user(number: int) -> str:
    """Return the name of a user of the system, or its number."""
    return files.name_user(number)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # in a folder that cannot be searched
        return True
