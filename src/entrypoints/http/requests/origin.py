"""The origin of a request, for the audit and the throttle."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from ordergate.application.ports.audit import Origin

_MAX_ADDRESS_LENGTH = 64


def read_address(scope: Scope) -> str:
    """Return the address of a client, or empty text without one."""
    client = scope.get("client")
    return client[0][:_MAX_ADDRESS_LENGTH] if client else ""


async def _read_origin(request: Request) -> Origin:
    return Origin(read_address(request.scope), request.state.request_id)


RequestOrigin = Annotated[Origin, Depends(_read_origin)]
"""The client's address, and the id of the request."""
