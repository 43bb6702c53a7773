"""The container of a process, with the adapters that the settings choose."""

import inspect
from pkgutil import resolve_name

from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container


def make_container(settings: Settings) -> Container:
    """Call the function that `ORDERGATE_CONTAINER` names, or make the default container.

    Raises `SettingsError` for a name of anything else, and the errors of the function.
    """
    if settings.container is None:
        return Container(settings=settings)
    try:
        make = resolve_name(settings.container)
    except (ImportError, AttributeError) as error:
        problem = f"{error}; install the module, or name its folder in PYTHONPATH"
        raise SettingsError([f"ORDERGATE_CONTAINER: {problem}"]) from error
    made: Container = make(settings) if _takes_settings(make) else make
    if not issubclass(getattr(made, "declarative_parent", object), Container):
        problem = "must be a function that takes the settings and returns a Container"
        raise SettingsError([f"ORDERGATE_CONTAINER: {settings.container} {problem}"])
    return made


def _takes_settings(make: object) -> bool:
    if not callable(make):
        return False
    try:
        inspect.signature(make).bind(object())
    except (TypeError, ValueError):
        return False
    return True
