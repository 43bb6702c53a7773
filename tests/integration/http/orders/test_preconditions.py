"""Preconditions (RFC 9110, section 13) on every method, and entity tags behind real proxies."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.api.http_client import (
    TEA,
    count_orders,
    in_process_client,
    place_and_get_location,
    place_order,
    problem,
    register_new_user,
)
from tests.support.databases.database_server import find_free_port
from tests.support.program.command import PASSWORD
from tests.support.program.server import Server
from tests.support.proxies.reverse_proxies import run_proxy, write_caddy

FAILED = "urn:problem-type:ordergate:precondition-failed"
CHANGED = "urn:problem-type:ordergate:order-changed"
WEAK = "urn:problem-type:ordergate:weak-entity-tag"
CODED = ['"1-gzip"', '"1-br"', '"1-zstd"', '"1--gzip"', '"1;gzip"']


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with await in_process_client() as client:
        yield client


@pytest.fixture
async def alice(client: httpx2.AsyncClient) -> dict[str, str]:
    return await register_new_user(client)


# Orders


@pytest.mark.parametrize("tag", CODED)
async def test_cancel_accepts_the_tag_that_a_compressing_proxy_changed(
    client: httpx2.AsyncClient, alice: dict[str, str], tag: str
) -> None:
    order = await place_and_get_location(client, alice)
    stale = await client.post(
        f"{order}/cancel", headers=alice | {"If-Match": tag.replace("1", "2")}
    )
    assert (stale.status_code, problem(stale)["type"]) == (412, CHANGED)
    answer = await client.post(f"{order}/cancel", headers=alice | {"If-Match": tag})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')


@pytest.mark.parametrize("tag", [*CODED, *(f"W/{tag}" for tag in CODED)])
async def test_read_is_304_for_the_tag_that_a_compressing_proxy_changed(
    client: httpx2.AsyncClient, alice: dict[str, str], tag: str
) -> None:
    order = await place_and_get_location(client, alice)
    assert (await client.get(order, headers=alice | {"If-None-Match": tag})).status_code == 304


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"If-Match": '"1"'}, 200, None),
        ({"If-Match": "*"}, 200, None),
        ({"If-Match": '"2"'}, 412, CHANGED),
        ({"If-Match": 'W/"1"'}, 412, WEAK),
        ({"If-Match": '"2"', "If-None-Match": '"1"'}, 412, CHANGED),
        ({"If-Match": '"1"', "If-None-Match": '"1"'}, 304, None),
        ({"If-Match": '"1"', "If-None-Match": '"2"'}, 200, None),
        ({"If-None-Match": "*"}, 304, None),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200, None),
        ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200, None),
    ],
    ids=str,
)
async def test_read_evaluates_if_match_before_if_none_match(
    client: httpx2.AsyncClient,
    alice: dict[str, str],
    headers: dict[str, str],
    status: int,
    kind: str | None,
) -> None:
    order = (await place_order(client, alice)).json()["id"]
    for address in (f"/orders/{order}", f"/order?id={order}"):
        answer = await client.get(address, headers=alice | headers)
        assert answer.status_code == status
        if kind:
            assert problem(answer)["type"] == kind
        else:
            assert answer.headers["etag"] == '"1"'


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"If-None-Match": '"1"'}, 412, FAILED),
        ({"If-None-Match": 'W/"1"'}, 412, FAILED),
        ({"If-None-Match": "*"}, 412, FAILED),
        ({"If-Match": '"1"', "If-None-Match": '"1"'}, 412, FAILED),
        ({"If-Match": '"2"', "If-None-Match": '"1"'}, 412, CHANGED),
        ({"If-None-Match": '"2"'}, 200, None),
        ({"If-Match": "*", "If-None-Match": '"2"'}, 200, None),
    ],
    ids=str,
)
async def test_cancel_evaluates_if_none_match(
    client: httpx2.AsyncClient,
    alice: dict[str, str],
    headers: dict[str, str],
    status: int,
    kind: str | None,
) -> None:
    order = await place_and_get_location(client, alice)
    answer = await client.post(f"{order}/cancel", headers=alice | headers)
    assert answer.status_code == status
    assert kind is None or problem(answer)["type"] == kind
    now = (await client.get(order, headers=alice)).json()["status"]
    assert now == ("cancelled" if status == 200 else "placed")


@pytest.mark.parametrize(
    "condition", [{"If-Match": '"1"'}, {"If-Match": 'W/"1"'}, {"If-Match": "*"}]
)
async def test_preconditions_are_ignored_when_the_order_is_not_found(
    client: httpx2.AsyncClient, alice: dict[str, str], condition: dict[str, str]
) -> None:
    for answer in (
        await client.get("/orders/999", headers=alice | condition),
        await client.get("/order?id=999", headers=alice | condition),
        await client.post("/orders/999/cancel", headers=alice | condition),
    ):
        assert answer.status_code == 404
    assert (await client.get("/orders/999", headers=condition)).status_code == 401


# Resources without an entity tag


@pytest.mark.parametrize("condition", [{"If-Match": '"1"'}, {"If-None-Match": "*"}], ids=str)
async def test_place_order_fails_a_precondition_that_the_list_does_not_meet(
    client: httpx2.AsyncClient, alice: dict[str, str], condition: dict[str, str]
) -> None:
    answer = await client.post("/orders", json=TEA, headers=alice | condition)
    assert (answer.status_code, problem(answer)["type"]) == (412, FAILED)
    assert await count_orders(client, alice) == 0


@pytest.mark.parametrize("condition", [{"If-Match": "*"}, {"If-None-Match": '"1"'}], ids=str)
async def test_place_order_succeeds_when_its_precondition_holds(
    client: httpx2.AsyncClient, alice: dict[str, str], condition: dict[str, str]
) -> None:
    assert (await client.post("/orders", json=TEA, headers=alice | condition)).status_code == 201


async def test_delete_session_fails_if_match_and_ends_no_session(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    (session,) = (await client.get("/sessions", headers=alice)).json()
    stale = alice | {"If-Match": '"1"'}
    body = {"password": PASSWORD}
    for answer in (
        await client.delete(f"/sessions/{session['id']}", headers=stale),
        await client.delete("/sessions", headers=stale),
        await client.delete("/sessions", headers=alice | {"If-None-Match": "*"}),
        await client.request("DELETE", "/me", json=body, headers=stale),
    ):
        assert (answer.status_code, problem(answer)["type"]) == (412, FAILED)
    assert len((await client.get("/sessions", headers=alice)).json()) == 1


@pytest.mark.parametrize("address", ["/orders", "/me", "/sessions"])
async def test_read_without_a_tag_evaluates_preconditions(
    client: httpx2.AsyncClient, alice: dict[str, str], address: str
) -> None:
    for condition, status in [
        ({"If-Match": '"1"'}, 412),
        ({"If-Match": "*"}, 200),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"1"'}, 200),
    ]:
        assert (await client.get(address, headers=alice | condition)).status_code == status
        assert (await client.get(address, headers=condition)).status_code == 401


async def test_sign_up_may_require_that_the_account_is_new(client: httpx2.AsyncClient) -> None:
    new = {"username": "carol", "password": PASSWORD}
    for condition, status in [({"If-Match": '"1"'}, 412), ({"If-None-Match": "*"}, 201)]:
        assert (await client.post("/users", json=new, headers=condition)).status_code == status


async def test_file_of_the_docs_page_is_304_for_its_tag(client: httpx2.AsyncClient) -> None:
    first = await client.get("/docs/swagger-ui.css")
    assert first.status_code == 200
    again = await client.get(
        "/docs/swagger-ui.css", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert (
        again.headers["cache-control"] == first.headers["cache-control"] == "public, max-age=86400"
    )


# Behind a proxy that compresses


APACHE = """
ServerRoot {folder}
PidFile {folder}/pid
ErrorLog {folder}/log
ServerName localhost
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule filter_module {modules}/mod_filter.so
LoadModule deflate_module {modules}/mod_deflate.so
AddOutputFilterByType DEFLATE application/json
ProxyPass / {url}/
"""
CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    encode gzip {{
        minimum_length 1
    }}
    reverse_proxy {address}
}}
"""
MODULES = Path("/usr/lib/apache2/modules")


@pytest.fixture(params=["apache2", "caddy"])
def proxy(request: pytest.FixtureRequest, served: Server, tmp_path: Path) -> Iterator[str]:
    """Run a real compressing proxy before the server; return its address."""
    port = find_free_port()
    address = served.url.removeprefix("http://")
    if request.param == "caddy":
        arguments = write_caddy(tmp_path, CADDY.format(port=port, address=address))
    else:
        configuration = tmp_path / "configuration"
        arguments = ["-f", str(configuration), "-D", "FOREGROUND"]
        configuration.write_text(
            APACHE.format(folder=tmp_path, port=port, modules=MODULES, url=served.url)
        )
    url = f"http://127.0.0.1:{port}"
    livez = f"{url}/livez"
    with run_proxy(request.param, arguments, tmp_path, lambda: httpx2.get(livez).is_success):
        yield url


async def test_order_is_cancelled_by_its_tag_behind_a_compressing_proxy(proxy: str) -> None:
    async with httpx2.AsyncClient(base_url=proxy, headers={"Accept-Encoding": "gzip"}) as client:
        alice = await register_new_user(client)
        order = await place_and_get_location(client, alice)
        read = await client.get(order, headers=alice)
        seen = read.headers["etag"]
        again = await client.get(order, headers=alice | {"If-None-Match": seen})
        assert again.status_code == 304
        answers = await asyncio.gather(
            *(client.post(f"{order}/cancel", headers=alice | {"If-Match": seen}) for _ in range(5))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
