"""Statements that are compiled once and run by the driver."""

import sqlite3
from typing import Any

from sqlalchemy import Dialect, Insert, Select
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.database import Rows, Values


class SqliteStatement:
    """Runs one SELECT or INSERT with different values.

    An INSERT names all columns.

    SQLAlchemy prepares every execution, which takes several times as long as SQLite's look-up by
    key. The conversions of values and columns are SQLAlchemy's.
    """

    def __init__(self, statement: Select[Any] | Insert, dialect: Dialect) -> None:
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        names = [each.key for each in statement.table.c] if isinstance(statement, Insert) else None
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self._sql = str(compiled)
        self._constants = {
            name: bound.value for name, bound in compiled.binds.items() if not bound.required
        }
        self._names = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        converters = (
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        )
        self._converters = [(i, each) for i, each in enumerate(converters) if each]

    def run(self, connection: sqlite3.Connection, *each: Values) -> Rows:
        """Run the statement with each of the values; return selected rows.

        Raises SQLAlchemy's `IntegrityError` for a violated constraint, and `sqlite3.Error`.
        """
        given = [self._given(values) for values in each]
        try:
            if len(given) > 1:
                rows = connection.executemany(self._sql, given).fetchall()
            else:
                rows = connection.execute(self._sql, *given).fetchall()
        except sqlite3.IntegrityError as error:
            raise IntegrityError(self._sql, None, error, hide_parameters=True) from error
        if not self._converters:
            return rows
        converted = [list(row) for row in rows]
        for row in converted:
            for i, convert in self._converters:
                row[i] = convert(row[i])
        return converted

    def _given(self, values: Values) -> list[Any]:
        if self._constants:
            values = self._constants | values
        return [convert(values[name]) if convert else values[name] for name, convert in self._names]
