"""Requests to issuers by proxies and by plain http, over loopback."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from ordergate.adapters.system.tracing import CURRENT
from ordergate.adapters.telemetry.spans import RecordedTrace
from ordergate.adapters.tokens.remote.fetching import (
    PROXY_OF_ENVIRONMENT,
    DocumentFetcher,
    FetchError,
)
from tests.support.tokens.oidc_issuer import Issuer, running_issuer

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clear_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


class Proxy:
    """Answers every request itself, and keeps the heads of the requests."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    self.heads.append(connection.recv(65_536))
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
                        b'{"by":"proxy"}'
                    )

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@contextmanager
def running_proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running_proxy() as proxy:
        yield proxy


async def test_proxy_of_a_setting_is_used(proxy: Proxy) -> None:
    with_password = proxy.url.replace("//", "//me:p%40ss@")
    fetcher = DocumentFetcher(plain_http_hosts=("id.example",), proxy=with_password)
    assert "p%40ss" not in repr(fetcher)
    assert await fetcher.fetch("http://id.example/jwks") == {"by": "proxy"}
    (head,) = proxy.heads
    assert head.startswith(b"GET http://id.example/jwks HTTP/1.1")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==" in head


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
async def test_keys_of_this_computer_come_by_no_proxy(
    issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Through plain http, the owner of the proxy could choose the keys."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    url = issuer.url.replace("127.0.0.1", host)
    for chosen in (proxy.url, PROXY_OF_ENVIRONMENT, None):
        assert "keys" in await DocumentFetcher(proxy=chosen).fetch(url)
    assert proxy.heads == []


async def test_proxy_of_the_environment_is_used_by_a_setting_alone(
    issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address reaches this computer and is no loopback address."""
    host = str(IPv4Address(0))
    url = issuer.url.replace("127.0.0.1", host)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert "keys" in await DocumentFetcher(plain_http_hosts=(host,)).fetch(url)
    assert proxy.heads == []
    chosen = DocumentFetcher(plain_http_hosts=(host,), proxy=PROXY_OF_ENVIRONMENT)
    assert await chosen.fetch(url) == {"by": "proxy"}
    monkeypatch.setenv("NO_PROXY", host)
    assert "keys" in await chosen.fetch(url)


async def test_proxy_is_asked_for_a_tunnel_to_a_host_with_tls(proxy: Proxy) -> None:
    with pytest.raises(FetchError):
        await DocumentFetcher(proxy=proxy.url).fetch("https://id.example/jwks?tenant=7")
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT id.example:443 HTTP/1.1")
    assert b"tenant" not in head


async def test_plain_http_is_for_named_hosts(proxy: Proxy) -> None:
    """The proxy stands for the network of the cluster."""
    url = "http://keycloak.auth.svc.cluster.local:8080/realms/shop"
    with pytest.raises(FetchError, match="is http, which anyone on the way can change"):
        await DocumentFetcher(proxy=proxy.url).fetch(url)
    assert proxy.heads == []
    hosts = ("keycloak.auth.svc.cluster.local",)
    fetcher = DocumentFetcher(plain_http_hosts=hosts, proxy=proxy.url)
    assert await fetcher.fetch(url) == {"by": "proxy"}


async def test_unreachable_proxy_is_reported_without_its_password() -> None:
    with running_proxy() as proxy:
        pass
    with pytest.raises(FetchError) as error:
        await DocumentFetcher(proxy=proxy.url.replace("//", "//me:hunter2@")).fetch(
            "https://id.example/jwks"
        )
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"])
@pytest.mark.parametrize(
    "url",
    [
        "socks5://me:hunter2@127.0.0.1:1080",
        "socks5h://me:hunter2@127.0.0.1:1080",
        "ftp://me:hunter2@127.0.0.1",
        "http://me:hunter2/x@127.0.0.1:3128",
        "http://[::me:hunter2",
    ],
)
async def test_unusable_proxy_of_the_environment_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(name, url)
    with pytest.raises(FetchError, match="the proxy is not usable: its URL must look") as error:
        await DocumentFetcher(proxy=PROXY_OF_ENVIRONMENT).fetch("https://id.example/jwks")
    assert "hunter2" not in str(error.value)
    assert "\n" not in str(error.value)


async def test_missing_file_of_authorities_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/missing/ca.crt")
    with pytest.raises(FetchError, match="FileNotFoundError"):
        await DocumentFetcher().fetch("https://id.example/jwks")


# Traces


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def recorded(exporter: InMemorySpanExporter) -> RecordedTrace:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return RecordedTrace(provider.get_tracer("test"), lambda _: False)


async def test_fetch_of_a_recorded_request_is_a_span_that_the_issuer_can_continue(
    issuer: Issuer, recorded: RecordedTrace, exporter: InMemorySpanExporter
) -> None:
    token = CURRENT.set(recorded)
    await DocumentFetcher().fetch(f"{issuer.url}?key=of-a-tenant")
    CURRENT.reset(token)
    await DocumentFetcher().fetch(issuer.url)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind, span.status.is_ok) == ("GET", SpanKind.CLIENT, True)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": issuer.server.server_port,
    }
    assert span.context
    ids = format_trace_id(span.context.trace_id), format_span_id(span.context.span_id)
    traceparent, none = issuer.traceparents
    assert tuple(traceparent.split("-")[1:3]) == ids
    assert none == ""


async def test_failed_fetch_is_a_failed_span(
    issuer: Issuer, recorded: RecordedTrace, exporter: InMemorySpanExporter
) -> None:
    issuer.status = 503
    token = CURRENT.set(recorded)
    with pytest.raises(FetchError):
        await DocumentFetcher().fetch(issuer.url)
    CURRENT.reset(token)
    (span,) = exporter.get_finished_spans()
    attributes = span.attributes or {}
    assert not span.status.is_ok
    assert attributes["http.response.status_code"] == 503
    assert attributes["error.type"] == "MissingDocument"
