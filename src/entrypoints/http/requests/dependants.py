"""The dependencies of a route in FastAPI's form."""

from collections.abc import Iterator

from fastapi.dependencies.models import Dependant


def walk_dependants(dependant: Dependant) -> Iterator[Dependant]:
    """Yield a dependency and all its direct and indirect dependencies."""
    yield dependant
    for inner in dependant.dependencies:
        yield from walk_dependants(inner)


def list_scopes(dependant: Dependant) -> list[str]:
    """Return the scopes of a dependency and of the routes around it."""
    return [*(dependant.parent_oauth_scopes or []), *(dependant.own_oauth_scopes or [])]
