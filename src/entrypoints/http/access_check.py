"""Authentication of requests that are refused before their dependencies run."""

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security import SecurityScopes
from starlette.routing import Match

from ordergate.entrypoints.http.requests.dependants import list_scopes, walk_dependants
from ordergate.entrypoints.http.security import AUTHENTICATED, BearerScheme


async def check_access(request: Request) -> None:
    """Authenticate on a protected route, unless that has been done.

    FastAPI reads the body of a request before it runs the dependencies of the route.
    """
    if AUTHENTICATED in request.scope:
        return
    dependant = _get_dependant(request)
    overridden = request.app.dependency_overrides
    for each in walk_dependants(dependant) if dependant else ():
        if isinstance(each.call, BearerScheme) and each.call not in overridden:
            await each.call(request, Response(), SecurityScopes(list_scopes(each)))


def _get_dependant(request: Request) -> Dependant | None:
    """Return the dependencies of the route that a request reached.

    Those of the application's routes contain the dependencies of the routers around them. A mounted
    router is the only owner of its routes.
    """
    route = request.scope.get("route")
    for context in iter_route_contexts(request.app.routes):
        if context.original_route is route and context.matches(request.scope)[0] is Match.FULL:
            route = context
            break
    dependant: Dependant | None = getattr(route, "dependant", None)
    return dependant
