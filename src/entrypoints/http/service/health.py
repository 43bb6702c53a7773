"""`GET /livez` and `GET /readyz`: for whatever starts, restarts and routes to this process."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from ordergate.entrypoints.http.requests.strict_query import StrictQueryRoute
from ordergate.entrypoints.http.services import get_services

router = APIRouter(tags=["health"], route_class=StrictQueryRoute)


class Health(BaseModel):
    """A sign of life."""

    status: Literal["ok"]


@router.get("/livez", name="livez", summary="Is the process alive?")
async def livez() -> Health:
    """Answer without asking anything else: a failure means that the process should be restarted."""
    return Health(status="ok")


@router.get("/readyz", name="readyz", summary="Can the process serve?")
async def readyz(request: Request) -> Health:
    """Ask the storage: 503 means that requests should go elsewhere for now."""
    services = get_services(request)
    await services.storage().ping()
    if orders := services.separate_orders():
        await orders.ping()
    return Health(status="ok")
