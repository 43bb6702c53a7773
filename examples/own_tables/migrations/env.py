"""Alembic's entry for the notes, which compares no other tables."""

from typing import Any

from alembic import context
from sqlmodel import SQLModel

from ordergate.adapters.sql.recognition import VERSIONS
from ordergate.adapters.sql.schema import METADATA

OTHERS = {*METADATA.tables, VERSIONS}


def is_own(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave the tables of Ordergate out of comparisons."""
    return kind != "table" or name not in OTHERS


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    include_name=is_own,
)
with context.begin_transaction():
    context.run_migrations()
