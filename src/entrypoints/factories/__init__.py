"""Functions that make adapters as the settings say; the container calls them.

An adapter that no setting chooses is not imported: PostgreSQL, an HTTP client, Redis.
"""
