"""The dependencies of a route, as FastAPI keeps them."""

from collections.abc import Iterator

from fastapi.dependencies.models import Dependant


def walk_dependants(dependant: Dependant) -> Iterator[Dependant]:
    """Yield a dependency and all that it depends on, directly and indirectly."""
    yield dependant
    for inner in dependant.dependencies:
        yield from walk_dependants(inner)
