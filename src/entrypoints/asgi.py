"""The application for any ASGI server: `uvicorn --factory entrypoints.asgi:create`."""

from fastapi import FastAPI

from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.logs import configure_logging
from entrypoints.settings import load_settings


def create() -> FastAPI:
    """Make the application that the environment's settings describe. Raises `SettingsError`."""
    settings = load_settings()
    configure_logging(settings)
    return create_app(Container(settings=settings))
