"""The settings in force and their sources, without secrets."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from ordergate.entrypoints.config.displayed_urls import HIDDEN, hide_account
from ordergate.entrypoints.config.environment import PREFIX, UNSET, find_secret_files
from ordergate.entrypoints.config.issuers.settings import OtherIssuerSettings
from ordergate.entrypoints.config.issuers.values import ALGORITHMS
from ordergate.entrypoints.config.serving import ServingSettings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import (
    describe_database,
    describe_read_database,
)

_URLS = frozenset({"throttle_url", "outgoing_proxy"})
"""Secrets of which only the account is hidden; their form is checked by the settings."""


class SettingInForce(NamedTuple):
    """A setting: its variable, its source, and its value without secrets.

    `value` is for JSON, and `None` for a default that is not a value.
    """

    variable: str
    source: str
    value: object
    text: str


def list_settings_in_force(settings: Settings) -> list[SettingInForce]:
    """Return every setting, in the order of docs/settings.md."""
    files = find_secret_files(Settings.model_fields)
    names = sorted(Settings.model_fields, key=_find_section)
    return [
        SettingInForce(
            PREFIX + name.upper(),
            f"file {files[name]}" if name in files else _find_source(name, settings),
            value := _read_value(name, settings),
            _write(name, value),
        )
        for name in names
    ]


def _find_section(name: str) -> int:
    """Return the place of a setting's table in docs/settings.md."""
    if name in OtherIssuerSettings.model_fields:
        return 2
    return int(name in ServingSettings.model_fields)


def _find_source(name: str, settings: Settings) -> str:
    return "environment" if name in settings.model_fields_set else "default"


def _read_value(name: str, settings: Settings) -> object:
    value = getattr(settings, name)
    if name == "database_url":
        return describe_database(settings).displayed_url
    if name == "read_database_url":
        standby = describe_read_database(settings)
        return standby.displayed_url if standby else None
    if name == "jwt_algorithms":
        return list(value or ALGORITHMS)
    if isinstance(value, SecretStr):
        return hide_account(value.get_secret_value()) if name in _URLS else HIDDEN
    return _to_json(value)


def _to_json(value: object) -> object:
    match value:
        case Path():
            return str(value)
        case tuple():
            return list(value)
        case Mapping():
            return {name: list(scopes) for name, scopes in value.items()}
        case _:
            return value


def _write(name: str, value: object) -> str:
    """Write a value as its variable takes it."""
    if value is None or value in ([], {}):
        return UNSET.get(name, "none")
    match value:
        case bool():
            return str(value).lower()
        case list():
            separator = " " if name == "default_scope" else ","
            return separator.join(str(part).replace(",", r"\,") for part in value)
        case dict():
            return ",".join(f"{each}={' '.join(scopes)}" for each, scopes in value.items())
        case _:
            return str(value)
