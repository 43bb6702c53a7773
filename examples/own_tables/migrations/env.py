"""Alembic's entry for the notes, with a version table of their own."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="notes_version")
with context.begin_transaction():
    context.run_migrations()
