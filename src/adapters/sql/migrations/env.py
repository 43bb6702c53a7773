"""Alembic's entry point: run migrations on the given connection."""

from alembic import context

from ordergate.adapters.sql.recognition import VERSIONS
from ordergate.adapters.sql.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    version_table=VERSIONS,
    version_table_schema=connection.dialect.default_schema_name,  # not another one of search_path
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
