"""Migrations of the SQL schema, run by Alembic."""

HEAD = "0007"
"""The newest revision, which a served database must have. Revisions are numbers of four digits, so
a newer one is a greater text."""
