"""The client's address is the socket's, or a trusted proxy's."""

import httpx2
import pytest
from fastapi import Request

from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app

PROXY, OUTER_PROXY, CLIENT, FORGED = "10.0.0.9", "10.1.2.3", "203.0.113.5", "192.0.2.66"


async def resolve_address(peer: str, *forwarded: str, trusted: str = "") -> str:
    """Return what the application takes for the client's address."""
    settings = Settings(
        signing_secret="a secret of more than thirty-two bytes",
        trusted_proxies=trusted or (),
    )
    app = create_app(Container(settings=settings))

    @app.get("/address")
    async def address(request: Request) -> str:
        assert request.client is not None
        return request.client.host

    transport = httpx2.ASGITransport(app, client=(peer, 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        headers = [("X-Forwarded-For", value) for value in forwarded]
        answer = await client.get("/address", headers=headers)
    assert answer.status_code == 200
    assert len(answer.headers["x-request-id"]) == 32
    return str(answer.json())


@pytest.mark.parametrize("peer", [CLIENT, "127.0.0.1", "::1"])
async def test_forwarded_header_is_ignored_without_the_setting(peer: str) -> None:
    assert await resolve_address(peer, FORGED) == peer


@pytest.mark.parametrize("peer", [CLIENT, "127.0.0.1", "11.0.0.1"])
async def test_forwarded_header_is_ignored_from_an_untrusted_peer(peer: str) -> None:
    assert await resolve_address(peer, FORGED, trusted="10.0.0.0/8") == peer


@pytest.mark.parametrize("trusted", [PROXY, "10.0.0.0/8", f"192.168.0.1, {PROXY}", "10.0.0.8/30"])
@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}"])
async def test_trusted_proxy_names_its_client(trusted: str, peer: str) -> None:
    assert await resolve_address(peer, CLIENT, trusted=trusted) == CLIENT


@pytest.mark.parametrize(
    "forwarded",
    [
        [f"{FORGED}, {CLIENT}"],
        [f"{FORGED}, {CLIENT}, {OUTER_PROXY}"],
        [f"{FORGED},{CLIENT}:5678"],
        [FORGED, CLIENT],
        [PROXY, f"{FORGED}, {CLIENT}", OUTER_PROXY],
        [f"junk, , [::1, {PROXY}, {CLIENT}"],
    ],
)
async def test_claims_left_of_the_trusted_proxy_are_not_read(
    forwarded: list[str],
) -> None:
    assert await resolve_address(PROXY, *forwarded, trusted="10.0.0.0/8") == CLIENT


async def test_proxy_may_have_an_ipv6_address() -> None:
    assert await resolve_address("2001:db8::9", "2001:db8:1::5", trusted="2001:db8::/48") == (
        "2001:db8:1::5"
    )
    assert await resolve_address("2001:db8::9", "[2001:db8:1::5]:443", trusted="2001:DB8:0::9") == (
        "2001:db8:1::5"
    )


@pytest.mark.parametrize("forwarded", [[], [""], [","], [f"{FORGED}, "]])
async def test_proxy_without_a_header_is_the_client(forwarded: list[str]) -> None:
    assert await resolve_address(PROXY, *forwarded, trusted=PROXY) == PROXY
