"""Settings that the chosen adapters accept."""

from ordergate.entrypoints.config.loading import ReadSettings, load_settings, read_settings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import find_database_url_error
from ordergate.entrypoints.factories.tokens import find_signing_key_error

_CHECKS = {"signing_key_file": find_signing_key_error, "database_url": find_database_url_error}


def load_checked_settings() -> Settings:
    """Read the environment. Raises `SettingsError` with all mistakes."""
    return load_settings(_CHECKS)


def read_checked_settings() -> ReadSettings:
    """Read the environment; return the mistakes."""
    return read_settings(_CHECKS)
