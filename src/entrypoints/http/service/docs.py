"""`GET /docs`: Swagger UI from files served here, without other hosts."""

from html import escape
from http import HTTPStatus
from importlib.resources import files

import fastapi_swagger.resources
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

router = APIRouter(include_in_schema=False)

_ASSETS = StaticFiles(directory=str(files(fastapi_swagger.resources)))
_FILES = {"swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """// The page calls the service that it came from, whichever address the document has.
const here = new URL(".", document.baseURI).href;
const root = document.querySelector("#swagger-ui");
fetch("openapi.json")
  .then((answer) => answer.json())
  .then((spec) => {
    spec.servers = [{ url: here.replace(/\\/$/, "") }];
    const password = spec.components.securitySchemes.password?.flows.password;
    if (password) password.tokenUrl = new URL("login", here).href;
    SwaggerUIBundle({
      spec,
      domNode: root,
      deepLinking: true,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      validatorUrl: null,
      presets: [SwaggerUIBundle.presets.apis],
    });
  })
  .catch((error) => {
    root.textContent = `openapi.json cannot be shown: ${error.message}`;
  });
"""


def lead_to_page(not_found: ASGIApp) -> ASGIApp:
    """Redirect the bare address to the page, unless an adopter answers it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        is_root = path in {"", "/"} and scope.get("method") in {"GET", "HEAD"}
        await (RedirectResponse("docs") if is_root else not_found)(scope, receive, send)

    return answer


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Return the page."""
    page = _PAGE.replace("$title", escape(request.app.title))
    return HTMLResponse(page, headers={"Content-Security-Policy": _CSP})


@router.get("/docs/start.js")
async def start() -> Response:
    """Return the page's script.

    An inline script would need a laxer policy.
    """
    return Response(_START, media_type="text/javascript")


@router.get("/docs/{asset}")
async def asset(asset: str, request: Request) -> Response:
    """Return a file of Swagger UI, or 304 for a known one."""
    if asset not in _FILES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    response = await _ASSETS.get_response(asset, request.scope)
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response
