"""The secret of a storage."""

from sqlalchemy import select
from sqlmodel import col

from ordergate.adapters.sql.database import Reader
from ordergate.adapters.sql.tables import STORAGE_SECRET, SecretRow

SECRET = select(col(SecretRow.value)).where(col(SecretRow.name) == STORAGE_SECRET)


async def find_secret(reader: Reader) -> bytes:
    """Read the secret that the migration drew."""
    secret: bytes = await reader.read(lambda connection: connection.execute(SECRET).scalar_one())
    return secret
