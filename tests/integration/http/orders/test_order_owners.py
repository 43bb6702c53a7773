"""Every order operation of the OpenAPI document, called by another user."""

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest

from ordergate.domain.user import MAX_ID
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.api.http_client import sign_in

ORDER = {
    "currency": "EUR",
    "lines": [{"sku": "POT", "name": "Teapot", "quantity": 1, "unit_price": "64.00"}],
}


def operations() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Return each operation with an order id: name, method, path and itself."""
    container = Container(settings=Settings(signing_secret="a secret of thirty-two bytes or more"))
    for path, methods in create_app(container).openapi()["paths"].items():
        for method, operation in methods.items():
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            if "orders" in operation["tags"] and "id" in names:
                yield operation["operationId"], method, path, operation


OPERATIONS = list(operations())


def request_for(
    method: str, path: str, operation: Mapping[str, Any], order_id: int, headers: Mapping[str, str]
) -> dict[str, Any]:
    """Fill in the id, and an example of every other parameter."""
    sent: dict[str, Any] = {"method": method, "url": path, "params": {}, "headers": {**headers}}
    for parameter in operation["parameters"]:
        example = parameter.get("example") or parameter["schema"].get("examples", [None])[0]
        match parameter["in"], parameter["name"]:
            case "path", "id":
                sent["url"] = path.replace("{id}", str(order_id))
            case "query", "id":
                sent["params"]["id"] = order_id
            case "header", "If-None-Match" if method != "get":
                sent["headers"]["If-None-Match"] = '"999"'  # a change of any version but that
            case "header", name:
                sent["headers"][name] = example or '"1"'
            case other:
                pytest.fail(f"say here what to send as {other}")
    return sent


def request_order(response: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    headers = [(name, value) for name, value in response.headers.items() if name != "date"]
    return response.status_code, response.content, headers


def test_openapi_document_lists_the_tested_order_operations() -> None:
    assert {name for name, *_ in OPERATIONS} >= {
        "read_order", "read_order_by_query", "cancel_order",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [operation for _, *operation in OPERATIONS],
    ids=[name for name, *_ in OPERATIONS],
)
async def test_order_operations_of_another_user_change_nothing_and_answer_not_found(
    client: httpx2.AsyncClient, method: str, path: str, operation: Mapping[str, Any]
) -> None:
    alice, bob = await sign_in(client, "user1"), await sign_in(client, "user2")
    placed = await client.post("/orders", json=ORDER, headers=alice)
    order_id = placed.json()["id"]
    same = bob | {"X-Request-ID": uuid.uuid4().hex}
    answers = [
        request_order(await client.request(**request_for(method, path, operation, each, same)))
        for each in (order_id, order_id - 2**51, MAX_ID)
    ]
    assert [status for status, *_ in answers] == [404] * 3
    assert json.loads(answers[0][1])["type"] == "urn:problem-type:ordergate:order-not-found"
    assert answers[0] == answers[1] == answers[2]
    read = await client.get(f"/orders/{order_id}", headers=alice)
    assert (read.content, read.headers["etag"]) == (placed.content, placed.headers["etag"])
    own = await client.request(**request_for(method, path, operation, order_id, alice))
    assert own.status_code in {200, 304}, "what is tried would have worked"


async def test_order_is_in_no_list_of_another_user(client: httpx2.AsyncClient) -> None:
    alice, bob = await sign_in(client, "user1"), await sign_in(client, "user2")
    placed = await client.post("/orders", json=ORDER, headers=alice)
    for user, times in ((alice, 1), (bob, 0)):
        listed = (await client.get("/orders?limit=200", headers=user)).json()["orders"]
        assert listed.count(placed.json()) == times
