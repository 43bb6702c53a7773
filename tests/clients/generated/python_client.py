"""The generator python of openapi-generator, through the flow of flow.ts."""

import os
import uuid
from collections.abc import Callable

from orders_client import (
    ApiClient,
    ApiException,
    AuthenticationApi,
    Configuration,
    NewOrder,
    NewOrderLine,
    Order,
    OrdersApi,
)

API = os.environ["API"]
NO_ORDER = 2**53 - 1


def connect(access_token: str | None = None) -> ApiClient:
    return ApiClient(Configuration(host=API, access_token=access_token))


def expect(status: int, name: str, call: Callable[[], object]) -> None:
    """Check the problem, or the empty answer, that a call raises."""
    try:
        call()
    except ApiException as error:
        assert error.status == status, error
        assert f'"urn:problem-type:ordergate:{name}"' in (error.body or "") or not name, error.body
    else:
        raise AssertionError(f"{status} {name} was expected")


def list_every_order(orders: OrdersApi) -> list[Order]:
    page = orders.list_orders(limit=2)
    found: list[Order] = page.orders
    while page.next_cursor is not None:
        page = orders.list_orders(limit=2, cursor=page.next_cursor)
        found += page.orders
    return found


def main() -> None:
    anonymous = AuthenticationApi(connect())
    expect(
        400,
        "invalid-grant",
        lambda: anonymous.login(grant_type="password", username="user1", password="wrong"),
    )
    expect(401, "token-required", lambda: OrdersApi(connect()).list_orders())
    tokens = anonymous.login(grant_type="password", username="user1", password="ordergate-demo")

    orders = OrdersApi(connect(tokens.access_token))
    line = NewOrderLine(sku="POT", name="Teapot", quantity=1, unit_price="64.00")
    teapot = NewOrder.model_validate({"currency": "EUR", "lines": [line.to_dict()]})
    teapots = NewOrder.model_validate({"currency": "EUR", "lines": [line.to_dict()] * 2})
    key = str(uuid.uuid4())
    placed = orders.place_order(teapot, idempotency_key=key)
    assert placed.id >= 2**52
    assert placed.total == "64.00"
    assert orders.place_order(teapot, idempotency_key=key).id == placed.id
    expect(422, "idempotency-key-reused", lambda: orders.place_order(teapots, idempotency_key=key))

    found = list_every_order(orders)
    assert len({order.id for order in found}) == len(found) > 2
    assert placed.id in {order.id for order in found}

    read = orders.read_order_with_http_info(placed.id)
    assert read.data.status == "placed"
    version = (read.headers or {})["etag"]
    expect(304, "", lambda: orders.read_order(placed.id, if_none_match=version))
    expect(404, "order-not-found", lambda: orders.read_order(NO_ORDER))

    expect(
        412, "order-changed", lambda: orders.cancel_order(placed.id, if_match='"another-version"')
    )
    assert orders.cancel_order(placed.id, if_match=version).status == "cancelled"
    expect(412, "order-changed", lambda: orders.cancel_order(placed.id, if_match=version))
    shipped = next(order for order in found if order.status == "shipped")
    expect(409, "invalid-transition", lambda: orders.cancel_order(shipped.id))

    token = tokens.refresh_token
    renewed = anonymous.login(grant_type="refresh_token", refresh_token=token)
    assert renewed.refresh_token != token
    assert OrdersApi(connect(renewed.access_token)).read_order(placed.id).status == "cancelled"
    anonymous.revoke(token=renewed.refresh_token)
    expect(
        400,
        "invalid-grant",
        lambda: anonymous.login(grant_type="refresh_token", refresh_token=renewed.refresh_token),
    )


if __name__ == "__main__":
    main()
