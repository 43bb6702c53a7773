"""The environment variables of the settings."""

import os
import re
from collections.abc import Mapping
from typing import get_args

from pydantic import SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource
from typing_extensions import override

from ordergate.entrypoints.config.variables import Explain, Variable, read_variable, repeat_reason

PREFIX = "ORDERGATE_"

_WHOLE_NUMBER = re.compile("-?[0-9]+")

UNSET = {
    "database_url": "ordergate.db in HOME",
    "jwks_url": "the jwks_uri of the metadata",
    "jwt_type": "that of IDENTITY_PROVIDER, or at+jwt",
    "jwt_algorithms": "all of these",
    "scope_claim": "that of IDENTITY_PROVIDER, or scope and scp",
    "throttle_url": "memory of each worker",
}
"""What is used where a setting is unset and its default is not a value."""

Fields = Mapping[str, FieldInfo]
"""The fields of settings, by their names."""


def read_environment(fields: Fields, explain: Explain = repeat_reason) -> dict[str, Variable]:
    """Map the names of settings to their variables."""
    read = {
        name: read_variable(
            os.environ,
            PREFIX + name.upper(),
            secret=is_secret(field.annotation),
            unset=f"unset it for the default ({_describe_default(name, field)})",
            explain=explain,
        )
        for name, field in fields.items()
    }
    return {name: variable for name, variable in read.items() if variable is not None}


def find_secret_files(fields: Fields) -> dict[str, str]:
    """Map the names of settings to the files that hold their values."""
    return {
        name: os.environ[variable.name]
        for name, variable in read_environment(fields).items()
        if variable.name != PREFIX + name.upper()
    }


def is_secret(annotation: object) -> bool:
    """Return whether a setting of this type may be a file."""
    return annotation is SecretStr or any(map(is_secret, get_args(annotation)))


def _describe_default(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or default in ((), {}):
        return UNSET.get(name, "none")
    return str(default).lower() if isinstance(default, bool) else str(default)


class EnvironmentSettings(BaseSettings):
    """Settings that are environment variables and nothing else."""

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment as `load_settings` does, without settings files."""
        return init_settings, InitSettingsSource(settings_cls, cls._read_variables())

    @classmethod
    def _read_variables(cls) -> dict[str, object]:
        read = read_environment(cls.model_fields)
        return {name: variable.text for name, variable in read.items()}

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_unusual_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Refuse numbers of Python alone, such as `1_000`, ` 7` and `7.0`."""
        is_number = cls.model_fields[str(info.field_name)].annotation is int
        if is_number and isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
            raise PydanticCustomError("int_form", "must be a whole number")
        return value
