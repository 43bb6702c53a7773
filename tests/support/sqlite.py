"""SQLite files, read and changed past the service."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def execute(file: Path, *statements: str) -> list[Any]:
    rows: list[Any] = []
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows
