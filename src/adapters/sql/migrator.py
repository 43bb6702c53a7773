"""Migrations of a SQL schema with Alembic, which only this module imports."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from ordergate.adapters.sql.recognition import rename_versions
from ordergate.application.errors import SchemaNotCurrent

_MIGRATIONS = Path(__file__).parent / "migrations"


def make_migration_config(connection: Connection) -> Config:
    """Configure Alembic with the migrations and this connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Upgrade to the newest revision. Raises `SchemaNotCurrent` from an unknown one."""
    rename_versions(connection)
    try:
        command.upgrade(make_migration_config(connection), "head")
    except CommandError as error:
        raise SchemaNotCurrent("the schema is not one of Ordergate's") from error
