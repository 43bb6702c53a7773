"""Connections to PostgreSQL: the URL, its parameters, the password, the hosts."""
