"""Storage in SQL: SQLModel tables, repositories and migrations."""
