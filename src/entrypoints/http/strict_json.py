"""JSON bodies, read strictly: what can be read in two ways is refused, not guessed."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from starlette.responses import Response

from entrypoints.http.compiled_route import CompiledRoute
from entrypoints.http.errors import of_status
from entrypoints.http.problems import ProblemError

_JSON = "application/json"
NOT_JSON = of_status(415, detail=f"Send the body as {_JSON}.")


class StrictJsonRoute(CompiledRoute):
    """For routers whose routes take JSON: `APIRouter(route_class=StrictJsonRoute)`.

    Refuses a body of another media type with 415, and with 400 one that is not UTF-8, a member
    that is named twice (RFC 8259, section 4, leaves open which counts), and numbers that JSON does
    not have, such as NaN.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Handle requests whose `json` is strict."""
        handle, takes_json = super().get_route_handler(), self.body_field is not None

        async def strict(request: Request) -> Response:
            if takes_json and _media_type(request) != _JSON:
                raise ProblemError(NOT_JSON)
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


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
