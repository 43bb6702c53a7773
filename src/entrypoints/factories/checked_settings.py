"""Settings that the chosen adapters accept."""

from ordergate.entrypoints.config.loading import load_settings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import database_url_error
from ordergate.entrypoints.factories.tokens import signing_key_error


def load_checked_settings() -> Settings:
    """Read the environment. Raises `SettingsError` with all mistakes."""
    return load_settings(
        {"signing_key_file": signing_key_error, "database_url": database_url_error}
    )
