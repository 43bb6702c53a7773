"""The dialect of MySQL and MariaDB for SQLAlchemy.

Tables and statements of the other engines stay as they are.
"""

from typing import Any

from sqlalchemy import BinaryExpression, LargeBinary, Table, Tuple
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.mysql.asyncmy import MySQLDialect_asyncmy
from sqlalchemy.dialects.mysql.base import (
    MySQLDDLCompiler,
    MySQLTypeCompiler,
)
from sqlalchemy.dialects.mysql.mysqldb import MySQLCompiler_mysqldb
from sqlalchemy.sql import operators

from ordergate.adapters.sql.mysql.session import collation

_WEAKER = {
    operators.lt: operators.le,
    operators.le: operators.le,
    operators.gt: operators.ge,
    operators.ge: operators.ge,
}

_BYTES = 32


class _Statements(MySQLCompiler_mysqldb):
    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> str:
        """Compare the first columns of two rows, too.

        The optimizer finds no range of an index for a comparison of rows: it would read all rows
        before a page.
        """
        written: str = super().visit_binary(binary, *args, **kw)
        weaker = _WEAKER.get(binary.operator)
        if weaker is None or not isinstance(binary.left, Tuple):
            return written
        left, right = (side.clauses[0] for side in (binary.left, binary.right))
        first = self.process(BinaryExpression(left, right, weaker), **kw)
        return f"({first} AND {written})"


class _Types(MySQLTypeCompiler):
    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        """Keep microseconds."""
        return "DATETIME(6)"

    def visit_large_binary(self, type_: LargeBinary, **kw: Any) -> str:
        """Write a type for keys; SQLModel's columns have no length."""
        return f"VARBINARY({type_.length or _BYTES})"


class _Definitions(MySQLDDLCompiler):
    def post_create_table(self, table: Table) -> str:
        """State the engine and the collation, whose defaults are the server's."""
        name = collation(mariadb=self.dialect.is_mariadb)
        return f" ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={name}"


class OrdergateDialect(MySQLDialect_asyncmy):
    """Sessions commit each statement; a transaction begins with BEGIN.

    A read outside any transaction is one round trip: nothing is rolled back where nothing began.
    """

    supports_statement_cache = True
    statement_compiler = _Statements
    ddl_compiler = _Definitions
    type_compiler_cls = _Types

    def on_connect(self) -> None:  # type: ignore[override] # SQLAlchemy types none
        """Do nothing: `connect` has set up the session."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll back a transaction, if there is one."""
        if dbapi_connection.driver_connection.get_transaction_status():
            super().do_rollback(dbapi_connection)


DRIVER = "mysql+ordergate"
"""The name of the dialect in SQLAlchemy's URLs."""

registry.register(DRIVER.replace("+", "."), __name__, OrdergateDialect.__name__)
