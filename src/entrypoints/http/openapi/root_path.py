"""The OpenAPI document of an application below a path."""

from typing import Any
from urllib.parse import urlsplit

SIGN_IN_DESCRIPTION = "Sign in with a user name and a password; leave client id and secret empty."
"""The description of the own scheme, which may have another name."""


def locate_sign_in(url: str, path: str) -> str:
    """Return the address of the sign-in below a path.

    It is the URL, unless that is elsewhere.
    """
    return url if urlsplit(url).path.startswith(f"{path}/") else f"{path}/login"


def move_document(document: dict[str, Any], root_path: str) -> dict[str, Any]:
    """Return the document with a request's root path as first server.

    The address of the sign-in is there too, unless the issuer, which is the public address of the
    service, ends with this path.
    """
    servers = document.get("servers", [])
    if not root_path or {"url": root_path} in servers:
        return document
    moved = {**document, "servers": [{"url": root_path}, *servers]}
    schemes = document["components"]["securitySchemes"]
    name = next((name for name, each in schemes.items() if _is_own(each)), None)
    if name is None:
        return moved
    password = schemes[name]
    flow = password["flows"]["password"]
    flow = {**flow, "tokenUrl": locate_sign_in(flow["tokenUrl"], root_path)}
    password = {**password, "flows": {**password["flows"], "password": flow}}
    schemes = {**schemes, name: password}
    return {**moved, "components": {**document["components"], "securitySchemes": schemes}}


def _is_own(scheme: dict[str, Any]) -> bool:
    """Return whether a scheme is the sign-in; others may have any name."""
    return "flows" in scheme and scheme.get("description") == SIGN_IN_DESCRIPTION
