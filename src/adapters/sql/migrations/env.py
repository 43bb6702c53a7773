"""Alembic's entry point: run migrations on the given connection."""

from alembic import context

from ordergate.adapters.sql.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
