"""Read the settings from the environment and check them together."""

import os
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from types import NoneType
from typing import NamedTuple, get_args

from pydantic import ValidationError
from typing_extensions import override

from ordergate.entrypoints.config.environment import PREFIX, is_secret, read_environment
from ordergate.entrypoints.config.issuers.settings import OtherIssuerSettings
from ordergate.entrypoints.config.service_links import find_service_links
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.config.variables import (
    FILE_SUFFIX,
    Explain,
    read_variable,
    repeat_reason,
)

_OWN_KEYS = ("signing_key_file", "signing_secret")
_OTHER_ISSUER = ("identity_provider", "jwks_url")
_TLS = ("tls_certificate_file", "tls_key_file")
_ONLY_FOR_OTHER_ISSUERS = frozenset(OtherIssuerSettings.model_fields) - {*_OTHER_ISSUER}
_PASSWORD = "PASSWORD"
"""What commands read with `read_given_password`, so that no settings object holds it."""

_MOST_SUGGESTED = 2

Checks = Mapping[str, Callable[[str], str | None]]
FindConflict = Callable[[Settings], str | None]


class SettingsError(Exception):
    """Settings that cannot be used.

    `problems` names every one, a line each, without its value.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ReadSettings(NamedTuple):
    """The settings of the environment, and the mistakes in it.

    `usable` is `None` if a value cannot be used. Settings may be usable beside unknown names.
    """

    usable: Settings | None
    problems: list[str]


def load_settings(
    checks: Checks, explain: Explain = repeat_reason, *, find_conflict: FindConflict | None = None
) -> Settings:
    """Read the environment. Raises `SettingsError` with every mistake, unknown names included.

    `checks` has functions by the names of settings. Each returns what is wrong with a value, or
    `None`. `explain` describes why the file of a secret cannot be read. `find_conflict` describes
    what is wrong with valid settings together. Variables that have the form of a Kubernetes service
    link are ignored.
    """
    settings, problems = read_settings(checks, explain, find_conflict=find_conflict)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def read_settings(
    checks: Checks, explain: Explain = repeat_reason, *, find_conflict: FindConflict | None = None
) -> ReadSettings:
    """Read the environment as `load_settings` does; return the mistakes."""
    given = read_environment(Settings.model_fields, explain)
    usable = {name: variable for name, variable in given.items() if not variable.problem}
    unknown = _find_unknown_names()
    problems = [variable.problem for variable in given.values() if variable.problem]
    if (password := read_variable(os.environ, PREFIX + _PASSWORD)) and password.problem:
        problems.append(password.problem)
    problems += _find_contradictions(given.keys(), usable.keys())
    settings, flaws = None, {}
    try:
        settings = Settings()
    except ValidationError as error:
        flaws = _list_flaws(error)
    for name, url_error in checks.items():
        if name in usable and name not in flaws and (flaw := url_error(usable[name].text)):
            flaws[name] = flaw
    problems += [f"{usable[name].name}: {flaw}" for name, flaw in flaws.items() if name in usable]
    if settings and not problems and find_conflict and (conflict := find_conflict(settings)):
        problems.append(conflict)
    return ReadSettings(None if problems else settings, unknown + problems)


def make_settings(values: Mapping[str, object]) -> Settings:
    """Make settings of values by their names, without the environment.

    The names are in lower case. Raises `SettingsError` with every mistake.
    """
    names = Settings.model_fields
    problems = [f"{name} is not a setting{suggest(name, names)}" for name in values.keys() - names]
    problems += _find_contradictions(values.keys(), values.keys())
    settings = None
    try:
        settings = _GivenSettings.model_validate(
            {name: value for name, value in values.items() if name in names}
        )
    except ValidationError as error:
        problems += [f"{name}: {flaw}" for name, flaw in _list_flaws(error).items()]
    if problems or settings is None:
        raise SettingsError(sorted(problems))
    return settings


class _GivenSettings(Settings):
    """Settings that are arguments and nothing else."""

    @classmethod
    @override
    def _read_variables(cls) -> dict[str, object]:
        return {}


def _find_contradictions(given: AbstractSet[str], usable: AbstractSet[str]) -> list[str]:
    """Describe settings that exclude or need each other."""

    def variables(names: Iterable[str]) -> list[str]:
        return [PREFIX + name.upper() for name in names if name in usable]

    problems, other = [], variables(_OTHER_ISSUER)
    keys = [PREFIX + name.upper() for name in _OWN_KEYS if name in given]
    if len(keys + other[:1]) > 1:
        problems.append(f"{' and '.join([*keys, *other[:1]])} exclude each other")
    if other and "issuer" not in given:
        problems.append(f"{other[0]} needs {PREFIX}ISSUER, the `iss` of its issuer's tokens")
    if "identity_provider" in usable and "audience" not in given:
        problems.append(f"{other[0]} needs {PREFIX}AUDIENCE, the `aud` of tokens for this API")
    if "cors_origins" not in given:
        problems += [
            f"{PREFIX}{name.upper()} needs {PREFIX}CORS_ORIGINS"
            for name in ("cors_headers", "cors_methods", "cors_exposed_headers")
            if name in usable
        ]
    if len(tls := variables(_TLS)) == 1:
        (lacking,) = {PREFIX + name.upper() for name in _TLS} - {*tls}
        if lacking.removeprefix(PREFIX).lower() not in given:
            problems.append(f"{tls[0]} needs {lacking}")
    if tls and "listen_uds" in given:
        problems.append(f"{tls[0]} and {PREFIX}LISTEN_UDS exclude each other")
    if given.isdisjoint(_OTHER_ISSUER):
        problems += [
            f"{name} needs {PREFIX}IDENTITY_PROVIDER, the kind of the issuer"
            for name in variables(sorted(_ONLY_FOR_OTHER_ISSUERS))
        ]
    return problems


def read_given_password(explain: Explain = repeat_reason) -> str | None:
    """Return the password in `ORDERGATE_PASSWORD` or `ORDERGATE_PASSWORD_FILE`.

    Returns `None` when neither is set. Raises `SettingsError`.
    """
    variable = read_variable(
        os.environ,
        PREFIX + _PASSWORD,
        secret=True,
        unset="give it a password",
        explain=explain,
    )
    if variable is not None and variable.problem:
        raise SettingsError([variable.problem])
    return variable.text if variable else None


def list_secret_names() -> list[str]:
    """Return the variables that may be files.

    The names have no prefix and no suffix.
    """
    fields = Settings.model_fields.items()
    return [*(name.upper() for name, field in fields if is_secret(field.annotation)), _PASSWORD]


def _find_unknown_names() -> list[str]:
    """Describe the mistake in each unknown variable with our prefix."""
    known = {name.upper() for name in Settings.model_fields} | {_PASSWORD}
    known |= {name + FILE_SUFFIX for name in list_secret_names()}
    ours = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    unknown = sorted(ours.keys() - {PREFIX + name for name in known})
    links = find_service_links({name: ours[name] for name in unknown})
    return [_describe_unknown_name(name, known) for name in unknown if name not in links]


def _list_flaws(error: ValidationError) -> dict[str, str]:
    """Say what is wrong with each setting."""
    return {
        str(flaw["loc"][0]): _describe_flaw(str(flaw["loc"][0]), flaw["type"], flaw["msg"])
        for flaw in error.errors(include_input=False, include_url=False, include_context=False)
    }


def _describe_flaw(name: str, kind: str, message: str) -> str:
    """Describe the valid values of a setting; keep our validators' descriptions."""
    field = Settings.model_fields[name]
    if kind.startswith("bool_"):
        return "must be true or false"
    if kind.startswith("int_") or kind in {"greater_than_equal", "less_than_equal"}:
        least, most = (
            next(getattr(bound, end) for bound in field.metadata if hasattr(bound, end))
            for end in ("ge", "le")
        )
        return f"must be a whole number from {least} to {most}"
    if kind == "literal_error":
        choices = _list_choices(field.annotation)
        return f"must be {'one of ' if len(choices) > 1 else ''}{', '.join(choices)}"
    return message


def _list_choices(annotation: object) -> list[str]:
    """Return the values of a Literal, also of an optional one."""
    parts = [part for part in get_args(annotation) if part is not NoneType]
    return [choice for part in parts for choice in (get_args(part) or (part,))]


def _describe_unknown_name(name: str, known: set[str]) -> str:
    hint = suggest(name.upper().removeprefix(PREFIX), known, PREFIX)
    return f"{name} is not a setting{hint}"


def suggest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the end of an error: the most similar names, if any."""
    names = get_close_matches(name, sorted(known), n=1) or _find_longer_names(name, known)
    return f"; did you mean {' or '.join(prefix + each for each in names)}?" if names else ""


def _find_longer_names(part: str, known: Iterable[str]) -> list[str]:
    """Return the names that contain these words, if they are few."""
    longer = sorted(name for name in known if f"_{part}_" in f"_{name}_")
    return longer if len(longer) <= _MOST_SUGGESTED else []
