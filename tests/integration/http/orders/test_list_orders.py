"""Lists of orders by pages, in process and through a real server."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.memory import InMemoryStorage
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import Password, User, UserId, Username
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.api.http_client import problem, sign_in, walk_pages
from tests.support.builders import TEAPOT
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD
from tests.support.storage.storage_calls import get_loader

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
EARLIER, LATER = "2026-03-01T00:05:00Z", "2026-03-01T01:10:00%2B01:00"


def minute(number: int) -> datetime:
    """Three orders are placed each minute."""
    return FIRST + timedelta(minutes=number // 3)


def alices_orders(number: int) -> list[Order]:
    statuses = list(OrderStatus)
    return [
        Order(OrderId(i + 1), UserId(1), statuses[i % 5], minute(i), (TEAPOT,))
        for i in range(number)
    ]


@pytest.fixture
async def shop() -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client where alice has 60 orders and bob has two."""
    async with await application(alices_orders(60)) as client:
        yield client


async def application(orders: Iterable[Order]) -> httpx2.AsyncClient:
    hasher = InstantPasswordHasher()
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=InMemoryStorage(),
        hasher=hasher,
    )
    hashed = await hasher.hash(Password(PASSWORD))
    users = [
        User(UserId(i), Username(name), hashed) for i, name in enumerate(("alice", "bob"), start=1)
    ]
    bobs = [Order(OrderId(i), UserId(2), OrderStatus.PAID, FIRST, (TEAPOT,)) for i in (1, 99)]
    await get_loader(container.storage()).load(users, [*orders, *bobs])
    transport = httpx2.ASGITransport(create_app(container), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://in.process")


async def test_pages_cover_1000_orders() -> None:
    async with await application(alices_orders(1_000)) as client:
        alice = await sign_in(client, "alice")
        newest_first = list(range(1_000, 0, -1))
        pages = await walk_pages(client, "/orders?limit=7", alice)
        assert [order for page in pages for order in page] == newest_first
        assert [len(page) for page in pages] == [7] * 142 + [6]
        assert [len(page) for page in await walk_pages(client, "/orders?limit=200", alice)] == [
            200
        ] * 5
        assert (await walk_pages(client, "/orders", alice))[0] == newest_first[:50]


async def test_page_is_as_documented(shop: httpx2.AsyncClient) -> None:
    alice = await sign_in(shop, "alice")
    answer = await shop.get("/orders?limit=1&status=placed", headers=alice)
    body = answer.json()
    assert body == {
        "orders": [(await shop.get("/orders/56", headers=alice)).json()],
        "next_cursor": body["next_cursor"],
    }
    following = f"orders?limit=1&status=placed&cursor={body['next_cursor']}"
    assert answer.headers["link"] == f'<{following}>; rel="next"'


async def test_user_without_orders_gets_an_empty_page(shop: httpx2.AsyncClient) -> None:
    await shop.post("/users", json={"username": "carol", "password": PASSWORD})
    answer = await shop.get("/orders", headers=await sign_in(shop, "carol"))
    assert answer.json() == {"orders": [], "next_cursor": None}
    assert "link" not in answer.headers


async def test_users_list_their_own_orders_alone(shop: httpx2.AsyncClient) -> None:
    assert await walk_pages(shop, "/orders", await sign_in(shop, "bob")) == [[99, 1]]


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("status=shipped", [i for i in range(60) if i % 5 == 2]),
        (f"placed_from={EARLIER}", range(15, 60)),
        (f"placed_before={EARLIER}", range(15)),
        (f"placed_from={EARLIER}&placed_before={LATER}", range(15, 30)),
        (f"placed_before={EARLIER}&placed_from={LATER}", []),
        (f"placed_from={EARLIER}&status=paid", [i for i in range(15, 60) if i % 5 == 1]),
        ("placed_from=2026-03-01t00:05:00.000000z", range(15, 60)),
        ("placed_from=2026-03-01T00:04:59.999999Z", range(15, 60)),
        ("placed_from=2026-03-01T00:05:00.000001Z", range(18, 60)),
        ("placed_from=2026-03-01T00:05:00-00:00", range(15, 60)),
        ("placed_from=0001-01-01T00:00:00Z&placed_before=9999-12-31T23:59:59.999999Z", range(60)),
    ],
)
@pytest.mark.parametrize("limit", [1, 4, 200])
async def test_filters_apply_to_every_page(
    shop: httpx2.AsyncClient, query: str, chosen: Iterable[int], limit: int
) -> None:
    pages = await walk_pages(shop, f"/orders?{query}&limit={limit}", await sign_in(shop, "alice"))
    ids = [order for page in pages for order in page]
    assert ids == [i + 1 for i in sorted(chosen, reverse=True)]


TIME = (
    "must be a time of RFC 3339 with its zone and at most six digits of a second, such as"
    " 2026-01-01T09:00:00Z; write + as %2B"
)
LIMIT = "must be a whole number from 1 to 200"
CURSOR = "is not a cursor of this list; start again without it"


BAD_LIMITS = ["0", "201", "-1", "+1", "01", "1.0", "", "x", "9" * 5000, "%D9%A1", "1%0A"]
BAD_TIMES = [
    "", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+01:00", "2026-01-01%2000:00:00Z",
    "1767225600", "now", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-12-31T23:59:60Z",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00%2B00:01", "9999-12-31T23:59:59-00:01",
    "10000-01-01T00:00:00Z", "-001-01-01T00:00:00Z", "2026-01-01T00:00:00.1234567Z",
    "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00%2B24:00", "2026-01-01T00:00:00%2B0100",
    "2026-W01-1T00:00:00Z", "%D9%A2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z%00",
    "2026-01-01T00:00Z", "2026-01-01T00:00:00,5Z", "9" * 5000,
]  # fmt: skip
BAD_CURSORS = ["", "x", "A" * 44, "%00", "x" * 5000]
KNOWN = "cursor, limit, placed_before, placed_from, status"


@pytest.mark.parametrize(
    ("query", "name", "detail"),
    [
        *((f"limit={value}", "limit", LIMIT) for value in BAD_LIMITS),
        *((f"placed_from={value}", "placed_from", TIME) for value in BAD_TIMES),
        *((f"placed_before={value}", "placed_before", TIME) for value in BAD_TIMES),
        *((f"cursor={value}", "cursor", CURSOR) for value in BAD_CURSORS),
        ("page=2", "page", f"is not a parameter here; known: {KNOWN}"),
        ("limit=1&limit=1", "limit", "is repeated; send it once"),
        ("status=paid&status=paid", "status", "is repeated; send it once"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_invalid_parameter_is_reported_with_its_rule(
    shop: httpx2.AsyncClient, query: str, name: str, detail: str
) -> None:
    answer = await shop.get(f"/orders?{query}", headers=await sign_in(shop, "alice"))
    assert answer.status_code == 422
    assert problem(answer)["errors"] == [{"in": "query", "name": name, "detail": detail}]


@pytest.mark.parametrize("status", ["", "PAID", "open", "paid,placed"])
async def test_unknown_status_is_reported_with_the_known_ones(
    shop: httpx2.AsyncClient, status: str
) -> None:
    answer = await shop.get(f"/orders?status={status}", headers=await sign_in(shop, "alice"))
    assert answer.status_code == 422
    assert "must be one of placed, paid, shipped, delivered, cancelled" in str(problem(answer))


async def test_cursor_is_valid_for_its_owner_and_filters_alone(shop: httpx2.AsyncClient) -> None:
    alice, bob = await sign_in(shop, "alice"), await sign_in(shop, "bob")
    address = f"/orders?limit=1&status=paid&placed_from={EARLIER}"
    cursor = (await shop.get(address, headers=alice)).json()["next_cursor"]

    async def status(query: str, user: Mapping[str, str]) -> int:
        return (await shop.get(f"/orders?{query}&cursor={cursor}", headers=user)).status_code

    filters = f"status=paid&placed_from={EARLIER}"
    assert await status(filters, alice) == 200
    assert await status(f"limit=200&{filters}", alice) == 200, "the limit is nobody's filter"
    assert await status("status=paid&placed_from=2026-03-01T01:05:00%2B01:00", alice) == 200
    assert await status(filters, bob) == 422
    assert await status(f"status=placed&placed_from={EARLIER}", alice) == 422
    assert await status("status=paid", alice) == 422
    assert await status(f"placed_from={EARLIER}", alice) == 422
    assert await status(f"{filters}&placed_before={LATER}", alice) == 422
    assert await status("limit=1", alice) == 422


@given(cursor=st.text(st.characters(exclude_categories=["Cs"])))
async def test_any_cursor_is_refused_or_a_page(shop: httpx2.AsyncClient, cursor: str) -> None:
    parameters: dict[str, Any] = {"cursor": cursor}
    alice = await sign_in(shop, "alice")
    assert (await shop.get("/orders", params=parameters, headers=alice)).status_code == 422


async def test_seeded_orders_are_listed_newest_first(client: httpx2.AsyncClient) -> None:
    query = "placed_before=2026-06-01T00:00:00Z&limit=3"
    pages = await walk_pages(client, f"/orders?{query}", await sign_in(client, "user2"))
    assert [order for page in pages for order in page] == list(range(29, 0, -3))


async def test_pages_do_not_move_when_orders_are_placed(client: httpx2.AsyncClient) -> None:
    user = await sign_in(client, "user3")
    first = await client.get("/orders?limit=4", headers=user)
    order = {"currency": "JPY", "lines": [
        {"sku": "TEA", "name": "Tea", "quantity": 1, "unit_price": "500"}
    ]}  # fmt: skip
    placed = await client.post("/orders", json=order, headers=user)
    (second, *_) = await walk_pages(client, first.links["next"]["url"], user)
    seen = [order["id"] for order in first.json()["orders"]]
    assert not set(seen) & set(second)
    assert placed.json()["id"] not in second
    newest = await client.get("/orders?limit=1", headers=user)
    assert newest.json()["orders"] == [placed.json()]
