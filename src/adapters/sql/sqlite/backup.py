"""Back up and restore a SQLite file with SQLite's own locks."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Self

from ordergate.adapters.sql.sqlite.contents import (
    advance_id_sequence,
    count_contents,
    is_foreign,
    list_table_names,
)
from ordergate.adapters.sql.sqlite.copy import copy_file, open_read_only, restore_into
from ordergate.adapters.sql.sqlite.database import find_path
from ordergate.adapters.sql.sqlite.file import (
    JOURNALS,
    connect,
    damaged,
    engine_errors,
    file_errors,
    is_damage,
    make_private,
)
from ordergate.adapters.sql.sqlite.hidden_copy import (
    copy_beside,
    publish,
    refuse_existing,
    refuse_on_os_error,
)
from ordergate.adapters.sql.sqlite.integrity_check import check_integrity
from ordergate.adapters.system import files
from ordergate.application.errors import BackupRefused, StorageUnavailable
from ordergate.application.ports.archive import Contents, StorageFile


class SqliteFile(StorageFile):
    """One SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the file of a valid URL."""
        return cls(find_path(url))

    def check(self, *, seconds: float | None) -> bool:
        """Run SQLite's own check if the file exists."""
        return not self._path.exists() or check_integrity(self._path, seconds=seconds)

    def backup(self, file: Path) -> Contents:
        """Copy all pages to a hidden file, check it and publish it."""
        with file_errors(self._path):
            is_there = files.is_file(self._path)
        if not is_there:
            raise StorageUnavailable(f"{self._path}: there is no such file")
        refuse_existing(file)
        with copy_beside(file) as copy:
            with engine_errors(self._path), closing(connect(self._path)) as source:
                copy_file(source, copy, file=file, whole=lambda: damaged(self._path))
            contents = count_contents(copy, called=self._path)
            publish(copy, file)
        return contents

    def restore(self, file: Path, *, replace: bool) -> Contents:
        """Copy the backup beside the database, check it, and write its pages."""
        with refuse_on_os_error(file), file.open("rb"):
            pass
        with file_errors(self._path):
            files.make_folder(self._path.parent)
            is_new = not files.is_file(self._path)
        with copy_beside(self._path) as copy:
            with engine_errors(file), closing(open_read_only(file)) as source:
                is_damaged = f"{file} is damaged or not a database"
                copy_file(source, copy, file=self._path, whole=lambda: is_damaged)
            contents = count_contents(copy, called=file)
            last_id = 0 if is_new else self._read_last_id(replace=replace)
            with engine_errors(self._path), closing(connect(copy)) as source:

                def keep_ids() -> None:
                    """Look again: accounts may have been opened until the lock was had."""
                    advance_id_sequence(source, max(last_id, self._read_last_id(replace=replace)))

                make_private(self._path)
                self._write(source, locked=keep_ids)
        return contents

    def _read_last_id(self, *, replace: bool) -> int:
        """Return the last assigned account id. Raises `BackupRefused` if there is data."""
        last_id = 0
        try:
            with closing(connect(self._path)) as connection:
                has = list_table_names(connection)
                if not replace and is_foreign(connection):
                    raise BackupRefused(
                        f"{self._path} is another program's database; replace it with --replace"
                    )
                if "sqlite_sequence" in has:
                    last_id = max(
                        (seq for name, seq in connection.execute("SELECT * FROM sqlite_sequence")),
                        default=0,
                    )
                full = {"users", "orders"} <= has and any(
                    connection.execute(query).fetchall()
                    for query in ("SELECT 1 FROM users LIMIT 1", "SELECT 1 FROM orders LIMIT 1")
                )
        except sqlite3.Error as error:
            if not is_damage(error):
                with engine_errors(self._path):
                    raise
            if not replace:
                raise BackupRefused(
                    f"{self._path} is damaged; replace what is left of it with --replace"
                ) from None
            return last_id
        if full and not replace:
            raise BackupRefused(
                f"there are users or orders in {self._path}; replace them with --replace"
            )
        return last_id

    def _write(self, source: sqlite3.Connection, *, locked: Callable[[], None]) -> None:
        try:
            restore_into(source, self._path, locked=locked)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            # The source is sound, so the target is damaged and cannot be read. It keeps its name
            # and its mode.
            with file_errors(self._path):
                os.truncate(self._path, 0)
                for journal in JOURNALS:
                    Path(f"{self._path}{journal}").unlink(missing_ok=True)
            restore_into(source, self._path, locked=locked)
