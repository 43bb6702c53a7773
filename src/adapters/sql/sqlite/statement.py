"""Statements that are compiled once and run by the driver."""

import sqlite3
from typing import Any

from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.compiled_statement import CompiledStatement
from ordergate.adapters.sql.database import Rows, Values
from ordergate.adapters.sql.statement_spans import SQLITE, trace_statement
from ordergate.adapters.system.tracing import CURRENT


class SqliteStatement(CompiledStatement):
    """A SELECT or an INSERT."""

    def run(self, connection: sqlite3.Connection, *each: Values) -> Rows:
        """Run the statement with each of the values; return selected rows.

        Raises SQLAlchemy's `IntegrityError` for a violated constraint, and `sqlite3.Error`.
        """
        given = [self.bind(values) for values in each]
        try:
            if CURRENT.get() is None:  # the look costs less than an empty context
                rows = self._execute(connection, given)
            else:
                with trace_statement(self.sql, SQLITE):
                    rows = self._execute(connection, given)
        except sqlite3.IntegrityError as error:
            raise IntegrityError(self.sql, None, error, hide_parameters=True) from error
        return self.convert(rows)

    def _execute(self, connection: sqlite3.Connection, given: list[list[Any]]) -> Rows:
        if len(given) > 1:
            return connection.executemany(self.sql, given).fetchall()
        return connection.execute(self.sql, *given).fetchall()
