"""Statements that are compiled once and prepared by the driver."""

import asyncpg
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.compiled_statement import CompiledStatement
from ordergate.adapters.sql.database import Rows, Values
from ordergate.adapters.sql.statement_spans import trace_statement


class PostgresStatement(CompiledStatement):
    """A statement that runs outside any transaction, in one round trip."""

    async def run(self, connection: asyncpg.Connection, values: Values) -> Rows:
        """Run the statement on a `PostgresConnection`; return its rows.

        Raises SQLAlchemy's `IntegrityError` for a violated constraint, and the driver's errors.
        """
        try:
            with trace_statement(self.sql, connection.server):
                rows = await connection.fetch(self.sql, *self.bind(values))
        except asyncpg.IntegrityConstraintViolationError as error:
            raise IntegrityError(self.sql, None, error, hide_parameters=True) from error
        return self.convert(rows)
