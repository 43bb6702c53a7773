"""Statements that are compiled once and prepared by the driver."""

import asyncpg
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.compiled_statement import CompiledStatement
from ordergate.adapters.sql.database import Rows, Values


class PostgresStatement(CompiledStatement):
    """A statement that runs outside any transaction, in one round trip."""

    async def run(self, connection: asyncpg.Connection, values: Values) -> Rows:
        """Run the statement; return its rows.

        Raises SQLAlchemy's `IntegrityError` for a violated constraint, and the driver's errors.
        """
        try:
            rows = await connection.fetch(self.sql, *self.bind(values))
        except asyncpg.IntegrityConstraintViolationError as error:
            raise IntegrityError(self.sql, None, error, hide_parameters=True) from error
        return self.convert(rows)
