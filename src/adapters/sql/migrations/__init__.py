"""Migrations of the SQL schema, run by Alembic."""

HEAD = "0006"
"""The newest revision: what a database must be at before it is served. Revisions are numbers of
four digits, so a newer one is a greater text."""
