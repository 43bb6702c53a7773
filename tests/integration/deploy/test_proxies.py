"""The configurations of nginx and Caddy in deploy/, run before a server."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.api.http_client import TEA
from tests.support.databases.database_server import find_free_port
from tests.support.program.certificates import write_certificate
from tests.support.program.command import PASSWORD, SECONDS, seed_folder
from tests.support.program.server import Server
from tests.support.proxies.reverse_proxies import run_proxy, write_caddy, write_nginx

DEPLOY = Path(__file__).parents[3] / "deploy"
CADDY_OPTIONS = "{\n\tadmin off\n\tskip_install_trust\n\thttp_port %s\n"


def replace(text: str, *replacements: tuple[str, object]) -> str:
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, str(new))
    return text


def configure_nginx(folder: Path, upstream: str, plain: int, tls: int) -> list[str]:
    site = (DEPLOY / "nginx" / "ordergate.conf").read_text()
    for scheme in ("80", "443 ssl http2"):  # this machine may have no IPv6
        site = replace(site, (f"    listen [::]:{scheme};\n", ""))
    certificate = folder / "server.pem"
    site = replace(
        site,
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ", f"listen 127.0.0.1:{tls} "),
        ("/etc/ssl/ordergate/fullchain.pem", certificate),
        ("/etc/ssl/ordergate/privkey.pem", certificate),
        ("127.0.0.1:8000", upstream),
    )
    return write_nginx(folder, site)


def configure_caddy(folder: Path, upstream: str, plain: int, tls: int) -> list[str]:
    certificate = folder / "server.pem"
    site = replace(
        (DEPLOY / "caddy" / "Caddyfile").read_text(),
        ("{\n\tservers", f"{CADDY_OPTIONS % plain}\tservers"),
        ("orders.example {", f"https://127.0.0.1:{tls} {{\n\ttls {certificate} {certificate}"),
        ("127.0.0.1:8000", upstream),
    )
    return write_caddy(folder, site)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = seed_folder(tmp_path_factory.mktemp("served"), orders=3)
    server = Server.start("serve", cwd=folder, TRUSTED_PROXIES="127.0.0.1", BCRYPT_COST=4)
    yield server
    server.stop()


@pytest.fixture(params=["nginx", "caddy"])
def client(
    request: pytest.FixtureRequest, server: Server, tmp_path: Path
) -> Iterator[httpx2.Client]:
    """Return a client of the proxy, with its own address."""
    configure = {"nginx": configure_nginx, "caddy": configure_caddy}[request.param]
    trusted = ssl.create_default_context(cafile=str(write_certificate(tmp_path)))
    plain, tls = find_free_port(), find_free_port()
    arguments = configure(tmp_path, server.url.removeprefix("http://"), plain, tls)
    transport = httpx2.HTTPTransport(verify=trusted, local_address="127.0.0.5")
    with (
        httpx2.Client(
            transport=transport, base_url=f"https://127.0.0.1:{tls}", timeout=SECONDS
        ) as client,
        run_proxy(request.param, arguments, tmp_path, lambda: client.get("/livez").is_success),
    ):
        redirect = httpx2.get(f"http://127.0.0.1:{plain}/orders?limit=1")
        assert redirect.status_code == 308
        assert redirect.headers["location"].startswith("https://127.0.0.1")
        assert redirect.headers["location"].endswith("/orders?limit=1")
        yield client


@pytest.mark.process
def test_proxy_serves_orders_by_tls_and_keeps_their_tags(client: httpx2.Client) -> None:
    form = {"username": "user1", "password": PASSWORD}
    signed_in = client.post("/login", data=form)
    assert signed_in.headers["strict-transport-security"] == "max-age=31536000"
    user = {
        "Authorization": f"Bearer {signed_in.json()['access_token']}",
        "Accept-Encoding": "gzip",
    }
    placed = client.post("/orders", json=TEA, headers=user)
    order = str(placed.url.join(placed.headers["location"]))
    tag = client.get(order, headers=user).headers["etag"]
    assert client.get(order, headers=user | {"If-None-Match": tag}).status_code == 304
    cancelled = client.post(f"{order}/cancel", headers=user | {"If-Match": tag})
    assert cancelled.json()["status"] == "cancelled"


@pytest.mark.process
def test_proxy_reports_the_address_of_the_client_and_no_other(client: httpx2.Client) -> None:
    form = {"username": "user2", "password": PASSWORD}
    claimed = {"X-Forwarded-For": "203.0.113.9"}
    signed_in = client.post("/login", data=form, headers=claimed)
    bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    sessions = client.get("/sessions", headers=bearer).json()
    assert {session["address"] for session in sessions} == {"127.0.0.5"}


@pytest.mark.process
def test_proxy_lets_the_service_refuse_a_large_body(client: httpx2.Client) -> None:
    refused = client.post("/orders", content=b"x" * 300_000)
    assert refused.status_code == 413
    assert refused.json()["type"] == "about:blank"
