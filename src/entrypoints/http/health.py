"""`GET /livez` and `GET /readyz`: for whatever starts, restarts and routes to this process."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from entrypoints.http.dependencies import StoragePort, strict_query

router = APIRouter(tags=["health"], dependencies=[strict_query])


class Health(BaseModel):
    """A sign of life."""

    status: Literal["ok"] = "ok"


@router.get("/livez", name="livez", summary="Is the process alive?")
async def livez(response: Response) -> Health:
    """Answer at once, asking nothing else: a failure means that the process should be restarted."""
    response.headers["Cache-Control"] = "no-store"
    return Health()


@router.get("/readyz", name="readyz", summary="Can the process serve?")
async def readyz(storage: StoragePort, response: Response) -> Health:
    """Ask the storage: 503 means that requests should go elsewhere for now."""
    await storage.ping()
    response.headers["Cache-Control"] = "no-store"
    return Health()
