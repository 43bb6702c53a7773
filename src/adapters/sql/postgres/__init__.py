"""PostgreSQL over asyncpg."""
