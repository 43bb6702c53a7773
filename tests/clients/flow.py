"""The flow of flow.ts, for generated Python clients."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

API = os.environ["API"]
NO_ORDER = 2**53 - 1

Data = TypeVar("Data")
Data_co = TypeVar("Data_co", covariant=True)


class Tokens(Protocol):
    @property
    def access_token(self) -> str: ...
    @property
    def refresh_token(self) -> str: ...


class Order(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def total(self) -> str: ...


class OrderPage(Protocol):
    @property
    def orders(self) -> Sequence[Order]: ...
    @property
    def next_cursor(self) -> str | None: ...


@dataclass(frozen=True)
class Answer(Generic[Data_co]):
    """An answer: `data` of a success, or the type of a `problem`.

    An answer 304 has neither.
    """

    status: int
    headers: Mapping[str, str]
    data: Data_co | None = None
    problem: str = ""


class Client(Protocol):
    """The calls of a generated client.

    `teapots` is the number of lines of an order.
    """

    def sign_in(self, username: str, password: str) -> Answer[Tokens]: ...
    def refresh(self, refresh_token: str) -> Answer[Tokens]: ...
    def revoke(self, token: str) -> Answer[object]: ...
    def place(self, *, teapots: int, key: str) -> Answer[Order]: ...
    def list(self, limit: int, cursor: str | None = None) -> Answer[OrderPage]: ...
    def read(self, order_id: int, if_none_match: str | None = None) -> Answer[Order]: ...
    def cancel(self, order_id: int, if_match: str | None = None) -> Answer[Order]: ...


Connect = Callable[[str | None], Client]
"""Returns a client that sends this access token, if there is one."""


def expect(answer: Answer[Data], status: int) -> Data:
    """Return the data of an answer that has this status."""
    assert answer.status == status, answer
    assert answer.data is not None
    return answer.data


def expect_problem(answer: Answer[object], status: int, name: str) -> None:
    assert answer.status == status, answer
    assert answer.problem == f"urn:problem-type:ordergate:{name}"


def list_every_order(client: Client) -> list[Order]:
    page = expect(client.list(2), 200)
    orders = [*page.orders]
    while page.next_cursor is not None:
        page = expect(client.list(2, page.next_cursor), 200)
        assert 0 < len(page.orders) <= 2
        orders += page.orders
    return orders


def run_flow(connect: Connect) -> None:
    anonymous = connect(None)
    expect_problem(anonymous.sign_in("user1", "a wrong password"), 400, "invalid-grant")
    expect_problem(anonymous.list(1), 401, "token-required")
    tokens = expect(anonymous.sign_in("user1", "ordergate-demo"), 200)

    client = connect(tokens.access_token)
    key = str(uuid.uuid4())
    placed = expect(client.place(teapots=1, key=key), 201)
    assert placed.id >= 2**52
    assert placed.total == "64.00"
    assert expect(client.place(teapots=1, key=key), 201).id == placed.id
    expect_problem(client.place(teapots=2, key=key), 422, "idempotency-key-reused")

    orders = list_every_order(client)
    assert len({order.id for order in orders}) == len(orders) > 2
    assert placed.id in {order.id for order in orders}

    read = client.read(placed.id)
    assert expect(read, 200).status == "placed"
    version = read.headers["etag"]
    assert client.read(placed.id, version).status == 304
    expect_problem(client.read(NO_ORDER), 404, "order-not-found")

    expect_problem(client.cancel(placed.id, '"another-version"'), 412, "order-changed")
    assert expect(client.cancel(placed.id, version), 200).status == "cancelled"
    expect_problem(client.cancel(placed.id, version), 412, "order-changed")
    shipped = next(order for order in orders if order.status == "shipped")
    expect_problem(client.cancel(shipped.id), 409, "invalid-transition")

    renewed = expect(anonymous.refresh(tokens.refresh_token), 200)
    assert renewed.refresh_token != tokens.refresh_token
    assert expect(connect(renewed.access_token).read(placed.id), 200).status == "cancelled"
    assert anonymous.revoke(renewed.refresh_token).status == 200
    expect_problem(anonymous.refresh(renewed.refresh_token), 400, "invalid-grant")
