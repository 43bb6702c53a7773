"""Several statements and their transaction, run as one statement of MariaDB."""

from typing import cast

from asyncmy.errors import IntegrityError as DriverIntegrityError
from asyncmy.errors import MySQLError
from sqlalchemy import ClauseElement
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.compiler import SQLCompiler

from ordergate.adapters.sql.compiled_statement import find_constants, find_names
from ordergate.adapters.sql.database import Rows, Values
from ordergate.adapters.sql.mysql.connection import MysqlConnection
from ordergate.adapters.sql.mysql.dialect import OrdergateDialect
from ordergate.adapters.sql.mysql.errors import (
    VIOLATED_CHECKS,
    get_error_code,
    is_commit_ambiguous,
    is_lost,
)
from ordergate.adapters.sql.server.errors import AmbiguousCommitError
from ordergate.adapters.sql.statement_spans import trace_statement

_DIALECT = OrdergateDialect(paramstyle="qmark", is_mariadb=True)


class Block:
    """A compound statement that begins and ends a transaction: one round trip.

    Its parts are texts and SQLAlchemy's statements. Names of variables begin with `the_`, because a
    variable hides a column of its name.

    The values are parameters of `EXECUTE IMMEDIATE`. They are not in the text of the block, where a
    value that is escaped wrongly could add a statement.
    """

    def __init__(self, *parts: str | ClauseElement) -> None:
        texts = ["BEGIN NOT ATOMIC"]
        self._constants: Values = {}
        self._names = []
        for number, part in enumerate(parts):
            if isinstance(part, str):
                texts.append(part)
                continue
            compiled = cast("SQLCompiler", part.compile(dialect=_DIALECT))
            texts.append(str(compiled))
            constants = find_constants(compiled)  # SQLAlchemy's names, for each part the same
            self._constants |= {f"{number} {name}": value for name, value in constants.items()}
            for name, convert in find_names(compiled, _DIALECT):
                self._names.append((f"{number} {name}" if name in constants else name, convert))
        text = _quote("\n".join([*texts, "END"]))
        self.sql = f"EXECUTE IMMEDIATE {text} USING {', '.join(['%s'] * len(self._names))}"

    async def run(self, connection: MysqlConnection, values: Values) -> Rows:
        """Run the block; return the rows of its result.

        Raises SQLAlchemy's `IntegrityError` for a violated constraint, the driver's errors, and
        `AmbiguousCommitError` for a block that was interrupted and may be committed.
        """
        given = self._constants | values
        bound = [convert(given[name]) if convert else given[name] for name, convert in self._names]
        try:
            with trace_statement(self.sql, connection.server):
                return await connection.run(self.sql, bound)
        except MySQLError as error:
            await _roll_back(connection, error)
            if isinstance(error, DriverIntegrityError) or get_error_code(error) in VIOLATED_CHECKS:
                raise IntegrityError(self.sql, None, error, hide_parameters=True) from error
            raise


async def _roll_back(connection: MysqlConnection, error: MySQLError) -> None:
    """End the transaction of a block that failed."""
    if is_lost(error):
        return
    if is_commit_ambiguous(error):
        ((in_transaction,),) = await connection.run("SELECT @@in_transaction", ())
        if not in_transaction:
            raise AmbiguousCommitError("a statement was interrupted at its COMMIT") from None
    await connection.rollback()


def _quote(text: str) -> str:
    """Write a text as a literal with doubled percent signs."""
    for special, escaped in (("\\", "\\\\"), ("'", "''"), ("%", "%%")):
        text = text.replace(special, escaped)
    return f"'{text}'"
