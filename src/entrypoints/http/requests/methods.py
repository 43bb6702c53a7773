"""The methods of an address (RFC 9110, section 10.2.1)."""

from collections.abc import Iterable

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Match


def list_methods(methods: Iterable[str]) -> str:
    """Return the header `Allow` of an address whose routes have these methods.

    GET implies HEAD, and every address has OPTIONS.
    """
    known = {*methods, "OPTIONS"}
    return ", ".join(sorted(known | {"HEAD"} if "GET" in known else known))


def list_allowed(request: Request, refusing: str | None) -> str | None:
    """Return the header `Allow` of the address of a request.

    A router lists the methods of one route only; `refusing` is its list. That of a mounted router
    stays as it is.
    """
    contexts = list(iter_route_contexts(request.app.routes))
    if request.scope.get("route") not in [context.original_route for context in contexts]:
        return refusing
    return list_methods(
        method
        for context in contexts
        if context.matches(request.scope)[0] is Match.PARTIAL
        for method in context.methods or ()
    )
