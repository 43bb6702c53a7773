"""The origin of a request, for the audit and the throttle."""

from typing import Annotated

from fastapi import Depends, Request

from ordergate.application.ports.audit import Origin

_MAX_ADDRESS_LENGTH = 64


async def _origin(request: Request) -> Origin:
    address = request.client.host if request.client else ""
    return Origin(address[:_MAX_ADDRESS_LENGTH], request.state.request_id)


RequestOrigin = Annotated[Origin, Depends(_origin)]
"""The client's address, and the id of the request."""
