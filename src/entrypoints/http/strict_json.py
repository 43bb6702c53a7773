"""JSON bodies, read strictly: what can be read in two ways is refused, not guessed."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from starlette.responses import Response


class StrictJsonRoute(APIRoute):
    """For routers whose routes take JSON: `APIRouter(route_class=StrictJsonRoute)`.

    Refuses with 400 a member that is named twice (RFC 8259, section 4, leaves open which counts)
    and numbers that JSON does not have, such as NaN.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Handle requests whose `json` is strict."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:  # noqa: ANN401 - as Starlette types it
        try:
            text = (await self.body()).decode()  # RFC 8259, section 8.1: UTF-8 and nothing else
        except UnicodeDecodeError:
            raise HTTPException(400, "The JSON body is not UTF-8.") from None
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_such_number)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise HTTPException(400, "A member of the JSON body is repeated; send each once.")
    return members


def _no_such_number(_name: str) -> None:
    raise HTTPException(400, "The JSON body has a number that is none in JSON.")
