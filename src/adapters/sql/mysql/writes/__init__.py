"""Writes that MariaDB runs as one statement each."""
