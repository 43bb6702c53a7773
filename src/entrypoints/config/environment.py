"""The environment variables of the settings."""

import os
from collections.abc import Mapping
from typing import get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from ordergate.entrypoints.config.variables import Variable, read_variable

PREFIX = "ORDERGATE_"

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


def read_environment(fields: Fields) -> dict[str, Variable]:
    """Return the variable of each setting that has one, by the name of the setting."""
    read = {
        name: read_variable(
            os.environ,
            PREFIX + name.upper(),
            secret=is_secret(field.annotation),
            unset=f"unset it for the default ({_describe_default(name, field)})",
        )
        for name, field in fields.items()
    }
    return {name: variable for name, variable in read.items() if variable is not None}


def is_secret(annotation: object) -> bool:
    """Return whether a setting of this type may be given as a file."""
    return annotation is SecretStr or any(map(is_secret, get_args(annotation)))


def _describe_default(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or default in ((), {}):
        return UNSET.get(name, "none")
    return str(default).lower() if isinstance(default, bool) else str(default)
