"""Settings that the chosen adapters accept."""

from importlib.util import find_spec

from ordergate.adapters.system import files
from ordergate.entrypoints.config.loading import (
    ReadSettings,
    load_settings,
    read_given_password,
    read_settings,
)
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import (
    READ_URL,
    find_database_url_error,
    find_standby_error,
)
from ordergate.entrypoints.factories.tokens import find_signing_key_error


def _find_missing_package(_port: str) -> str | None:
    if find_spec("prometheus_client") is None:
        return "needs the package prometheus-client; install ordergate[metrics]"
    return None


def _find_missing_exporter(_protocol: str) -> str | None:
    for module in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            found = find_spec(module)
        except ModuleNotFoundError:  # what it is within is missing, too
            found = None
        if found is None:
            return (
                "needs the packages opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http;"
                " install ordergate[otlp]"
            )
    return None


_CHECKS = {
    "signing_key_file": find_signing_key_error,
    "database_url": find_database_url_error,
    "read_database_url": find_database_url_error,
    "metrics_port": _find_missing_package,
    "telemetry": _find_missing_exporter,
}


def _find_conflict(settings: Settings) -> str | None:
    error = find_standby_error(settings)
    return f"{READ_URL}: {error}" if error else None


def load_checked_settings() -> Settings:
    """Read the environment. Raises `SettingsError` with all mistakes."""
    return load_settings(_CHECKS, files.reason, find_conflict=_find_conflict)


def read_checked_settings() -> ReadSettings:
    """Read the environment; return the mistakes."""
    return read_settings(_CHECKS, files.reason, find_conflict=_find_conflict)


def read_password_of_environment() -> str | None:
    """Return the password of the environment, if one is set. Raises `SettingsError`."""
    return read_given_password(files.reason)
