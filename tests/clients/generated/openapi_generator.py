"""The generator `python` of openapi-generator."""

import json
from collections.abc import Callable

from flow import API, Answer, Data, run_flow
from orders_client import (
    ApiClient,
    ApiException,
    ApiResponse,
    AuthenticationApi,
    Configuration,
    NewOrder,
    NewOrderLine,
    Order,
    OrderPage,
    OrdersApi,
    Tokens,
)

TEAPOT = NewOrderLine(sku="POT", name="Teapot", quantity=1, unit_price="64.00")


def call(function: Callable[[], ApiResponse[Data]]) -> Answer[Data]:
    try:
        response = function()
    except ApiException as error:
        problem = json.loads(error.body)["type"] if error.body else ""
        return Answer(error.status, error.headers or {}, problem=problem)
    return Answer(response.status_code, response.headers or {}, response.data)


class Adapter:
    def __init__(self, access_token: str | None) -> None:
        client = ApiClient(Configuration(host=API, access_token=access_token))
        self._tokens, self._orders = AuthenticationApi(client), OrdersApi(client)

    def sign_in(self, username: str, password: str) -> Answer[Tokens]:
        return call(
            lambda: self._tokens.login_with_http_info(
                grant_type="password", username=username, password=password
            )
        )

    def refresh(self, refresh_token: str) -> Answer[Tokens]:
        return call(
            lambda: self._tokens.login_with_http_info(
                grant_type="refresh_token", refresh_token=refresh_token
            )
        )

    def revoke(self, token: str) -> Answer[object]:
        return call(lambda: self._tokens.revoke_with_http_info(token=token))

    def place(self, *, teapots: int, key: str) -> Answer[Order]:
        lines = [TEAPOT.to_dict()] * teapots
        order = NewOrder.model_validate({"currency": "EUR", "lines": lines})
        return call(lambda: self._orders.place_order_with_http_info(order, idempotency_key=key))

    def list(self, limit: int, cursor: str | None = None) -> Answer[OrderPage]:
        return call(lambda: self._orders.list_orders_with_http_info(limit=limit, cursor=cursor))

    def read(self, order_id: int, if_none_match: str | None = None) -> Answer[Order]:
        return call(
            lambda: self._orders.read_order_with_http_info(order_id, if_none_match=if_none_match)
        )

    def cancel(self, order_id: int, if_match: str | None = None) -> Answer[Order]:
        return call(lambda: self._orders.cancel_order_with_http_info(order_id, if_match=if_match))


if __name__ == "__main__":
    run_flow(Adapter)
