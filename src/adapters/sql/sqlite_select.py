"""A SELECT that is compiled once and handed to the driver itself."""

import sqlite3
from typing import Any

from sqlalchemy import Dialect, Select

from adapters.sql.database import Rows


class SqliteSelect:
    """Runs one query with other values each time.

    SQLAlchemy prepares an execution anew each time, which takes several times as long as SQLite
    takes for a read by key. Values and columns are converted as it would.
    """

    def __init__(self, query: Select[Any], dialect: Dialect) -> None:
        compiled = query.compile(dialect=dialect)
        self._sql = str(compiled)
        self._constants = {
            name: bound.value for name, bound in compiled.binds.items() if not bound.required
        }
        self._names = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        converters = (
            column.type.dialect_impl(dialect).result_processor(dialect, None)
            for column in query.selected_columns
        )
        self._converters = [(i, each) for i, each in enumerate(converters) if each]

    def run(self, connection: sqlite3.Connection, values: dict[str, Any]) -> Rows:
        """Return all rows. Raises `sqlite3.Error`."""
        if self._constants:
            values = self._constants | values
        given = [
            convert(values[name]) if convert else values[name] for name, convert in self._names
        ]
        rows = connection.execute(self._sql, given).fetchall()
        if not self._converters:
            return rows
        converted = [list(row) for row in rows]
        for row in converted:
            for i, convert in self._converters:
                row[i] = convert(row[i])
        return converted
