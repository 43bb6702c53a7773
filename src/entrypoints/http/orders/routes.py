"""`/orders`: place, list, read and cancel own orders."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic.json_schema import SkipJsonSchema

from ordergate.application.errors import (
    IdempotencyKeyReused,
    OrderChanged,
    OrderIdTaken,
    OrderNotFound,
    TooManyRequests,
)
from ordergate.application.ports.orders import Position
from ordergate.application.ports.tokens import Caller
from ordergate.domain import order as domain
from ordergate.domain.order import OrderId
from ordergate.entrypoints.http.openapi.responses import problems
from ordergate.entrypoints.http.orders.answers import (
    CANCELLED,
    LISTED,
    NOT_CANCELLED,
    PLACED,
    READ,
    TOO_MUCH,
    UNCHANGED,
    WRONG_LINE,
)
from ordergate.entrypoints.http.orders.cursor import INVALID_CURSOR, CursorsInUse, OrderFilters
from ordergate.entrypoints.http.orders.new_order import NewOrder, to_order_lines
from ordergate.entrypoints.http.orders.parameters import (
    ID_RULE,
    IdInPath,
    IdInQuery,
    InStatus,
    Limit,
    PlacedBefore,
    PlacedFrom,
)
from ordergate.entrypoints.http.orders.schemas import Order, OrderPage
from ordergate.entrypoints.http.problems.problem import invalid_parameter
from ordergate.entrypoints.http.requests.conditional import (
    CONDITION_HEADERS,
    EXCLUDED,
    UNTAGGED,
    WEAK_TAG,
    make_entity_tag,
    read_preconditions,
)
from ordergate.entrypoints.http.requests.idempotency import KEY_HEADER, MALFORMED_KEY, Key
from ordergate.entrypoints.http.requests.strict_json import BODY_PROBLEMS, StrictJsonRoute
from ordergate.entrypoints.http.security import OrderReader, OrderWriter
from ordergate.entrypoints.http.services import get_services

router = APIRouter(
    tags=["orders"],
    responses=problems(UNTAGGED),
    route_class=StrictJsonRoute,
)

_DEFAULT_LIMIT = 50


def _make_cache_headers(order: domain.Order) -> Mapping[str, str]:
    """Let only the caller store the order, and only with revalidation.

    `no-transform` forbids proxies to compress it, which would weaken or remove its entity tag.
    """
    return {
        "Cache-Control": "private, no-cache, no-transform",
        "ETag": make_entity_tag(order.version),
        "Vary": "Authorization",
    }


def _describe_reading(place: str) -> dict[str, Any]:
    """Return what both routes declare that read an order."""
    return {
        "response_model": Order,
        "responses": problems(
            OrderNotFound, OrderChanged, WEAK_TAG, invalid_parameter((place, "id", ID_RULE))
        )
        | READ
        | UNCHANGED,
        "openapi_extra": CONDITION_HEADERS,
    }


@router.get(
    "/order",
    name="read_order_by_query",
    summary="Read one of your orders, by query",
    **_describe_reading("query"),
)
async def read_order_by_query(
    id: IdInQuery, user: OrderReader, request: Request, response: Response
) -> Order | Response:
    """Return the same as `GET /orders/{id}`."""
    return await _read_order(OrderId(id), user, request, response)


@router.get(
    "/orders/{id}",
    name="read_order",
    summary="Read one of your orders",
    **_describe_reading("path"),
)
async def read_order(
    id: IdInPath, user: OrderReader, request: Request, response: Response
) -> Order | Response:
    """Return one of your orders. Orders of other users are not found."""
    return await _read_order(OrderId(id), user, request, response)


async def _read_order(
    id: OrderId, user: Caller, request: Request, response: Response
) -> Order | Response:
    conditions = read_preconditions(request)
    order = await get_services(request).get_own_order()(id, owner=user.id)
    conditions.check_if_match(order.version)
    if conditions.matches_if_none_match(order.version):
        return Response(status_code=304, headers=_make_cache_headers(order))
    response.headers.update(_make_cache_headers(order))
    return Order.from_domain(order)


@router.post(
    "/orders",
    name="place_order",
    summary="Place an order",
    status_code=201,
    responses=problems(
        *BODY_PROBLEMS,
        MALFORMED_KEY,
        IdempotencyKeyReused,
        WRONG_LINE,
        TOO_MUCH,
        OrderIdTaken,
        TooManyRequests,
    )
    | PLACED,
    openapi_extra=KEY_HEADER,
)
async def place_order(
    new: NewOrder, user: OrderWriter, key: Key, request: Request, response: Response
) -> Order:
    """Place an order.

    A repeat with the same key gets the first answer again.
    """
    order = await get_services(request).place_order()(to_order_lines(new), owner=user.id, key=key)
    response.headers.update({"Location": f"orders/{order.id}", **_make_cache_headers(order)})
    return Order.from_domain(order)


async def _read_filters(
    user: OrderReader,
    status: InStatus = None,
    placed_from: PlacedFrom = None,
    placed_before: PlacedBefore = None,
) -> OrderFilters:
    return OrderFilters(user.id, status, placed_from, placed_before)


@router.get(
    "/orders",
    name="list_orders",
    summary="List your orders",
    responses=problems(INVALID_CURSOR, TooManyRequests) | LISTED,
)
async def list_orders(
    request: Request,
    response: Response,
    filters: Annotated[OrderFilters, Depends(_read_filters)],
    cursors: CursorsInUse,
    *,
    limit: Limit = _DEFAULT_LIMIT,
    cursor: Annotated[
        str | SkipJsonSchema[None],
        Query(description="The `cursor` of the previous page, with the same filters."),
    ] = None,
) -> OrderPage:
    """Return a page of your orders, newest first.

    `next_cursor` and `Link` name the next page.
    """
    before = Position(filters.placed_before, 0) if filters.placed_before else None
    if cursor is not None:
        before = cursors.decode(cursor, filters)
    page = await get_services(request).list_own_orders()(
        owner=filters.owner,
        status=filters.status,
        since=filters.placed_from,
        before=before,
        limit=limit,
    )
    following = cursors.encode(page.next, filters) if page.next else None
    if following is not None:
        query = urlencode({**request.query_params, "limit": limit, "cursor": following})
        response.headers["Link"] = f'<orders?{query}>; rel="next"'
    return OrderPage(
        orders=[Order.from_domain(order) for order in page.orders], next_cursor=following
    )


@router.post(
    "/orders/{id}/cancel",
    name="cancel_order",
    summary="Cancel one of your orders",
    responses=problems(
        OrderNotFound,
        OrderChanged,
        TooManyRequests,
        WEAK_TAG,
        EXCLUDED,
        NOT_CANCELLED,
        invalid_parameter(("path", "id", ID_RULE)),
    )
    | CANCELLED,
    openapi_extra=CONDITION_HEADERS,
)
async def cancel_order(
    id: IdInPath,
    user: OrderWriter,
    request: Request,
    response: Response,
) -> Order:
    """Cancel one of your orders that is placed or paid.

    `If-Match` names the seen version.
    """
    order = await get_services(request).cancel_order()(
        OrderId(id), owner=user.id, check_version=read_preconditions(request).check_change
    )
    response.headers.update({"Content-Location": f"../{order.id}", **_make_cache_headers(order)})
    return Order.from_domain(order)
