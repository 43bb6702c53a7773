"""openapi-python-client."""

from typing import Any

from flow import API, Answer, Data, run_flow
from orders_client import AuthenticatedClient, Client
from orders_client.api.authentication import login, revoke
from orders_client.api.orders import cancel_order, list_orders, place_order, read_order
from orders_client.models import (
    Currency,
    LoginForm,
    LoginFormGrantType,
    NewOrder,
    NewOrderLine,
    Order,
    OrderPage,
    ProblemDetails,
    Revoked,
    RevokeForm,
    Tokens,
)
from orders_client.types import UNSET, Response

TEAPOT = NewOrderLine(sku="POT", name="Teapot", quantity=1, unit_price="64.00")


def to_answer(response: Response[Any], kind: type[Data]) -> Answer[Data]:
    parsed = response.parsed
    if isinstance(parsed, ProblemDetails):
        return Answer(response.status_code, response.headers, problem=parsed.type_)
    assert parsed is None or isinstance(parsed, kind)
    return Answer(response.status_code, response.headers, parsed)


class Adapter:
    """Clients refuse statuses that the document does not have."""

    def __init__(self, access_token: str | None) -> None:
        self._anonymous = Client(API, raise_on_unexpected_status=True)
        self._client = AuthenticatedClient(
            API, token=access_token or "", raise_on_unexpected_status=True
        )
        if access_token is None:
            self._client.set_httpx_client(self._anonymous.get_httpx_client())

    def _log_in(self, form: LoginForm) -> Answer[Tokens]:
        return to_answer(login.sync_detailed(client=self._anonymous, body=form), Tokens)

    def sign_in(self, username: str, password: str) -> Answer[Tokens]:
        grant = LoginFormGrantType.PASSWORD
        return self._log_in(LoginForm(grant, username=username, password=password))

    def refresh(self, refresh_token: str) -> Answer[Tokens]:
        grant = LoginFormGrantType.REFRESH_TOKEN
        return self._log_in(LoginForm(grant, refresh_token=refresh_token))

    def revoke(self, token: str) -> Answer[object]:
        form = RevokeForm(token)
        return to_answer(revoke.sync_detailed(client=self._anonymous, body=form), Revoked)

    def place(self, *, teapots: int, key: str) -> Answer[Order]:
        order = NewOrder(Currency.EUR, [TEAPOT] * teapots)
        placed = place_order.sync_detailed(client=self._client, body=order, idempotency_key=key)
        return to_answer(placed, Order)

    def list(self, limit: int, cursor: str | None = None) -> Answer[OrderPage]:
        page = list_orders.sync_detailed(
            client=self._client, limit=limit, cursor=UNSET if cursor is None else cursor
        )
        return to_answer(page, OrderPage)

    def read(self, order_id: int, if_none_match: str | None = None) -> Answer[Order]:
        tag = UNSET if if_none_match is None else if_none_match
        read = read_order.sync_detailed(order_id, client=self._client, if_none_match=tag)
        return to_answer(read, Order)

    def cancel(self, order_id: int, if_match: str | None = None) -> Answer[Order]:
        tag = UNSET if if_match is None else if_match
        cancelled = cancel_order.sync_detailed(order_id, client=self._client, if_match=tag)
        return to_answer(cancelled, Order)


if __name__ == "__main__":
    run_flow(Adapter)
