"""`GET /livez` and `GET /readyz`: checks for supervisors and load balancers."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from ordergate.entrypoints.http.openapi.responses import with_example
from ordergate.entrypoints.http.problems.catalog import SHUTTING_DOWN
from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.requests.strict_query import StrictQueryRoute
from ordergate.entrypoints.http.services import get_services

DRAINING = "ordergate.draining"
"""The key in the state of a request while the server drains."""

router = APIRouter(tags=["health"], route_class=StrictQueryRoute)


class Health(BaseModel):
    """A sign of life."""

    model_config = with_example(status="ok")

    status: Literal["ok"] = Field(description="The only value; a failure is a problem.")


@router.get(
    "/livez",
    name="livez",
    summary="Check that the process runs",
    response_description="The process runs.",
)
async def livez() -> Health:
    """Use no other part of the service.

    If this fails, restart the process.
    """
    return Health(status="ok")


@router.get(
    "/readyz",
    name="readyz",
    summary="Check that the service can answer",
    response_description="The service can answer.",
)
async def readyz(request: Request) -> Health:
    """Ask the storage. At a 503, send requests to another process."""
    if DRAINING in request.scope["state"]:
        raise ProblemError(SHUTTING_DOWN)
    services = get_services(request)
    await services.storage().ping()
    if orders := services.separate_orders():
        await orders.ping()
    return Health(status="ok")
