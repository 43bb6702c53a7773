"""Database files for backups, intact and damaged."""

from pathlib import Path
from typing import Any

from tests.support.storage.sqlite import execute

DATABASE = Path(".ordergate") / "ordergate.db"


def counts(file: Path) -> list[Any]:
    query = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM orders)"
    return execute(file, query)


def overwrite_the_middle(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(size // 2)
        opened.write(b"\xa5" * (size // 4))


def truncate(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def write_something_else(file: Path) -> None:
    file.write_bytes(b"this is no database" * 1000)


DAMAGES = [overwrite_the_middle, truncate, write_something_else]
