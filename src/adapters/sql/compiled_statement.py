"""Statements that SQLAlchemy compiles once, for execution by the driver."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect, Insert, Select, UpdateBase
from sqlalchemy.sql.compiler import SQLCompiler

from ordergate.adapters.sql.database import Rows, Values


class CompiledStatement:
    """A statement that runs with different values.

    An INSERT names all columns.

    SQLAlchemy prepares every execution, which takes several times as long as a look-up by key. The
    conversions of values and columns are SQLAlchemy's.
    """

    def __init__(self, statement: Select[Any] | UpdateBase, dialect: Dialect) -> None:
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        names = [each.key for each in statement.table.c] if isinstance(statement, Insert) else None
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self.sql = str(compiled)
        self._constants = find_constants(compiled)
        self._names = find_names(compiled, dialect)
        converters = (
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        )
        self._converters = [(i, each) for i, each in enumerate(converters) if each]

    def bind(self, values: Values) -> list[Any]:
        """Return the values for the driver, in the order of the statement."""
        if self._constants:
            values = self._constants | values
        return [convert(values[name]) if convert else values[name] for name, convert in self._names]

    def convert(self, rows: Rows) -> Rows:
        """Convert the columns of the driver's rows."""
        if not self._converters:
            return rows
        converted = [list(row) for row in rows]
        for row in converted:
            for i, convert in self._converters:
                row[i] = convert(row[i])
        return converted


def find_constants(compiled: SQLCompiler) -> Values:
    """Return the values that are part of a statement, by name."""
    return {name: bound.value for name, bound in compiled.binds.items() if not bound.required}


def find_names(
    compiled: SQLCompiler, dialect: Dialect
) -> list[tuple[str, Callable[[Any], Any] | None]]:
    """Return the names of values in their order, each with its conversion."""
    return [
        (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
        for name in compiled.positiontup or ()
    ]
