"""The application: routers, middleware and handlers around the services."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import Lifespan
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.http.access_check import check_access
from ordergate.entrypoints.http.application import Application
from ordergate.entrypoints.http.compiled.route_table import compile_routes
from ordergate.entrypoints.http.declared_scopes import require_declared_scopes
from ordergate.entrypoints.http.hidden_routes import require_reachable_routes
from ordergate.entrypoints.http.identity import accounts, discovery, login, sessions
from ordergate.entrypoints.http.identity.oauth import OAUTH_PATHS
from ordergate.entrypoints.http.lifespan import surround_lifespan
from ordergate.entrypoints.http.middleware.access_log import log_request
from ordergate.entrypoints.http.middleware.body_limit import BodyLimit
from ordergate.entrypoints.http.middleware.client_address import (
    BoundedForwarding,
    list_trusted_hosts,
)
from ordergate.entrypoints.http.middleware.consistency import TOKEN_FIELD, ConsistentReads
from ordergate.entrypoints.http.middleware.cors import Preflights, ReadableAnswers
from ordergate.entrypoints.http.middleware.edge import EdgeMiddleware
from ordergate.entrypoints.http.middleware.methods import ImpliedMethods
from ordergate.entrypoints.http.middleware.observing import (
    BeginSpan,
    NotedRoutes,
    Observe,
    ObservedRequests,
)
from ordergate.entrypoints.http.middleware.rate_limits import LimitedRequests
from ordergate.entrypoints.http.mounted import list_around, list_mounted
from ordergate.entrypoints.http.openapi.document import (
    LICENSE,
    TAGS,
    install_openapi,
)
from ordergate.entrypoints.http.openapi.other_documents import install_security
from ordergate.entrypoints.http.orders import routes as orders
from ordergate.entrypoints.http.problems.handlers import ErrorHandlers
from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.problems.quotas import LIMIT_FIELD, POLICY_FIELD
from ordergate.entrypoints.http.service import docs, health
from ordergate.entrypoints.http.services import BESIDE, Services

_ORDERS = "place, list, read and cancel your orders"
_DESCRIPTION = """\
{}

Every error is a problem (RFC 9457). Every answer has an `X-Request-ID`: yours, or a new one. The
log has the reason for each 5xx under this id.
"""


def create_app(
    services: Services,
    *,
    lifespan: Lifespan[FastAPI] | None = None,
    observers: Iterable[Observe] = (),
    begin_span: BeginSpan | None = None,
) -> FastAPI:
    """Make the application of these services, such as a `Container`.

    Add routers of your own to the application that is returned; its own routes precede them. The
    start raises `HiddenRoute` where both have one address. `lifespan` runs after the start of the
    services, and ends before them. Each of the `observers` is called after every HTTP request.
    `begin_span` begins a span for each.
    """
    settings, known_scopes = services.settings(), services.known_scopes()
    resource, limiter = settings.resource, services.rate_limiter()
    quotas = limiter.quotas if limiter else ()

    def run_service(started: FastAPI) -> AbstractAsyncContextManager[None]:
        require_declared_scopes(started.routes, known_scopes)
        require_reachable_routes(own_routes, app.routes[len(own_routes) :])
        for place, around in list_around(started, app):
            install_security(around, settings, known_scopes, path=place)
        for mounted in list_mounted(started.routes):
            setattr(mounted.state, BESIDE, services)
        return services.running_service()

    app = Application(
        title="Ordergate",
        version=version("ordergate"),
        summary="Who is asking, and which orders are theirs.",
        description=_describe(settings),
        openapi_tags=[
            dict(tag) for tag in TAGS if settings.order_routes or tag["name"] != "orders"
        ],
        license_info=LICENSE,
        servers=[{"url": resource.removesuffix("/")}] if resource else None,
        lifespan=surround_lifespan(run_service, lifespan, lambda: app),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI's own telemetry costs time at every request, even if it is not collected.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.services = services
    for router in _list_routers(settings):
        app.include_router(router, generate_unique_id_function=lambda route: route.name)
    app.router.default = docs.lead_to_page(app.router.not_found)
    own_routes = [*app.routes]
    # The last added is the outermost.
    app.add_middleware(BodyLimit, max_body_size=settings.max_body_bytes)
    compile_routes(app, max_body_size=settings.max_body_bytes)
    observers = [*observers, *([log_request] if settings.access_log else [])]
    observed: list[Middleware] = []
    if observers or begin_span:
        app.add_middleware(NotedRoutes, of=app)
        observed.append(Middleware(ObservedRequests, observers=observers, begin_span=begin_span))
    app.add_middleware(ImpliedMethods)
    app.surrounding = tuple(_list_surrounding(settings, services, observed))
    handlers = ErrorHandlers(check_access, resource)
    handlers.install(app)
    install_openapi(app, settings, known_scopes, quotas)

    def prepare_mounted(mounted: Starlette) -> None:
        are_problems = ProblemError not in mounted.exception_handlers
        handlers.install_mounted(mounted)
        if isinstance(mounted, FastAPI):
            install_security(
                mounted, settings, known_scopes, are_problems=are_problems, quotas=quotas
            )

    app.prepare_mounted = prepare_mounted
    return app


def _describe(settings: Settings) -> str:
    if settings.issues_tokens:
        then = f" Then {_ORDERS}." if settings.order_routes else ""
        return _DESCRIPTION.format(f"Sign in at `POST /login`.{then}")
    use = _ORDERS.capitalize() if settings.order_routes else "Call this API"
    issuers = "` or `".join(settings.issuers)
    return _DESCRIPTION.format(f"{use} with an access token of `{issuers}`.")


def _list_surrounding(
    settings: Settings, services: Services, observed: Sequence[Middleware]
) -> Iterator[Middleware]:
    """Yield the middleware around every other part, from the innermost."""
    origins, allowed = settings.cors_origins, settings.cors_headers
    exposed = settings.cors_exposed_headers
    if settings.read_database_url:
        yield Middleware(ConsistentReads, services=services)
        allowed, exposed = (*allowed, TOKEN_FIELD), (*exposed, TOKEN_FIELD)
    if limiter := services.rate_limiter():
        yield Middleware(LimitedRequests, limiter=limiter)
        exposed = (*exposed, POLICY_FIELD, LIMIT_FIELD)
    if origins:
        yield Middleware(
            Preflights,
            origins=origins,
            headers=allowed,
            methods=settings.cors_methods,
        )
    oauth_paths = OAUTH_PATHS if settings.issues_tokens else frozenset[str]()
    yield Middleware(EdgeMiddleware, oauth_paths=oauth_paths, services=services)
    if origins:
        yield Middleware(ReadableAnswers, origins=origins, exposed=exposed)
    yield from observed
    if settings.trusted_proxies:
        trusted = list_trusted_hosts(settings.trusted_proxies)
        yield Middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
        yield Middleware(BoundedForwarding)


def _list_routers(settings: Settings) -> list[APIRouter]:
    """Return the routers in the order of the OpenAPI document."""
    own_orders = [orders.router] if settings.order_routes else []
    if not settings.issues_tokens:
        described = [discovery.protected_resource] if settings.resource else []
        return [*own_orders, *described, health.router, docs.router]
    return [
        login.router,
        *own_orders,
        *([accounts.sign_up] if settings.sign_up else []),
        accounts.router,
        sessions.router,
        discovery.router,
        discovery.protected_resource,
        health.router,
        docs.router,
    ]
