"""The span of each request, in process."""

import io
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.telemetry import export
from ordergate.adapters.telemetry.requests import RequestSpans
from ordergate.application.errors import StorageUnavailable
from ordergate.entrypoints.config.logs import JsonFormatter, TextFormatter
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.observability.telemetry import trace
from ordergate.entrypoints.factories.observability.traced_use_cases import trace_use_cases
from ordergate.entrypoints.http.app import create_app
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD

SECRET_TEXT = "what-only-the-client-chose"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(params=[JsonFormatter, TextFormatter])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    logger = logging.getLogger("ordergate")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


@pytest.fixture
async def container() -> Container:
    container = Container(
        settings=Settings(
            signing_secret="a secret of more than thirty-two bytes",
            telemetry="otlp",
            cors_origins="https://shop.example",
            max_body_bytes=1_024,
        ),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )
    await container.seed_storage()(users=1, orders=1, password=PASSWORD)
    return container


@pytest.fixture
async def client(
    container: Container, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(export, "make_provider", lambda: provider)
    begin_span, lifespan = trace(container, [])
    app = create_app(trace_use_cases(container), lifespan=lifespan, begin_span=begin_span)
    notes = APIRouter()

    @notes.get("/{name}")
    async def fail(name: str) -> str:
        raise RuntimeError(name)

    app.include_router(notes, prefix="/notes")
    below = FastAPI()
    below.include_router(notes, prefix="/all")
    app.mount("/below", below)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        yield client
    provider.shutdown()


def requests_of(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    spans = [span for span in exporter.get_finished_spans() if span.kind.name == "SERVER"]
    exporter.clear()
    return spans


def describe(span: ReadableSpan) -> tuple[str, dict[str, Any], bool]:
    attributes = dict(span.attributes or {})
    assert attributes.pop("url.scheme") == "http"
    text = span.to_json()
    assert SECRET_TEXT not in text
    return span.name, attributes, not span.status.is_ok


def attributes(method: str, status: int, route: str | None = None, **more: str) -> dict[str, Any]:
    known = {"http.request.method": method, "http.response.status_code": status, **more}
    return known if route is None else {**known, "http.route": route}


async def test_span_is_named_by_the_route_and_has_nothing_of_the_client(
    client: httpx2.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    chosen = {
        "X-Request-ID": SECRET_TEXT,
        "Authorization": f"Bearer {SECRET_TEXT}",
        "User-Agent": SECRET_TEXT,
        "Cookie": SECRET_TEXT,
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": f"a={SECRET_TEXT}",
    }
    form = {"username": f"{SECRET_TEXT}@example.org", "password": SECRET_TEXT}
    await client.get(f"/orders/{SECRET_TEXT}?{SECRET_TEXT}=1", headers=chosen)
    await client.get(f"/{SECRET_TEXT}", headers=chosen)
    await client.request(SECRET_TEXT, "/orders", headers=chosen)
    await client.post("/login", data=form, headers=chosen)
    await client.get(f"/below/all/{SECRET_TEXT}", headers=chosen)
    await client.get(f"/notes/{SECRET_TEXT}", headers=chosen)
    spans = requests_of(exporter)
    assert [describe(span) for span in spans] == [
        ("GET /orders/{id}", attributes("GET", 401, "/orders/{id}"), False),
        ("GET", attributes("GET", 404), False),
        ("HTTP /orders", attributes("_OTHER", 405, "/orders"), False),
        ("POST /login", attributes("POST", 400, "/login"), False),
        *(
            (
                f"GET {route}",
                {**attributes("GET", 500, route), "error.type": "500"},
                True,
            )
            for route in ("/below/all/{name}", "/notes/{name}")
        ),
    ]
    assert [span.context.trace_state for span in spans if span.context] == [{}] * len(spans)


async def test_use_case_is_a_span_and_a_refusal_is_its_outcome(
    client: httpx2.AsyncClient,
    container: Container,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = {"username": "user1", "password": PASSWORD}
    token = (await client.post("/login", data=form)).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    exporter.clear()

    async def fail(*_: object, **__: object) -> None:
        raise StorageUnavailable(SECRET_TEXT)

    found = []
    for path in ("/orders/1", "/orders/999", "/orders/1"):
        await client.get(path, headers=bearer)
        spans = exporter.get_finished_spans()
        (span,) = (each for each in spans if each.name == "GetOwnOrder")
        (request,) = requests_of(exporter)
        assert span.parent
        assert request.context
        assert span.parent.span_id == request.context.span_id
        found.append((dict(span.attributes or {}), span.status.is_ok))
        assert SECRET_TEXT not in span.to_json()
        if len(found) == 2:
            monkeypatch.setattr(type(container.orders()), "get_owned", fail)
    assert found == [
        ({}, True),
        ({"ordergate.outcome": "OrderNotFound"}, True),
        ({"error.type": "StorageUnavailable"}, False),
    ]


async def test_every_problem_names_the_trace(
    client: httpx2.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    preflight = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}
    problems = [
        await client.get("/orders"),
        await client.get("/no/such/path"),
        await client.post("/login", content=b"x" * 2_000),
        await client.get("/livez", headers={"Host": "two hosts"}),
        await client.options("/orders", headers=preflight),
        await client.get("/notes/1"),
    ]
    assert [problem.status_code for problem in problems] == [401, 404, 413, 400, 400, 500]
    assert [problem.json()["trace_id"] for problem in problems] == [
        format_trace_id(span.context.trace_id) for span in requests_of(exporter)
    ]


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\xe9",
        f"00-{TRACE}-{SPAN}-01{'-' * 5_000}",
    ],
)
async def test_malformed_traceparent_is_ignored(
    client: httpx2.AsyncClient,
    exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
    parent: str,
) -> None:
    headers = [(b"traceparent", parent.encode("latin-1")), (b"tracestate", b"a=1,=malformed")]
    assert (await client.get("/livez", headers=headers)).status_code == 200
    (span,) = requests_of(exporter)
    assert span.parent is None
    assert caplog.messages == []


async def test_repeated_traceparent_is_ignored(
    client: httpx2.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    parent = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())
    await client.get("/livez", headers=[parent, parent])
    (span,) = requests_of(exporter)
    assert span.parent is None


def test_sampler_decides_by_the_id_of_the_trace_once(exporter: InMemorySpanExporter) -> None:
    sampler = TraceIdRatioBased(0.5)
    provider = TracerProvider(sampler=ParentBased(sampler), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    requests = RequestSpans(provider, lambda _: False)
    recorded = []
    for _ in range(200):
        span = requests.begin("GET", [], "http")
        assert span.trace_id is not None
        context = get_current_span().get_span_context()
        assert format_trace_id(context.trace_id) == span.trace_id
        assert span.trace_id in repr(get_current_span()) or span.is_recorded
        assert context.trace_flags.sampled == span.is_recorded
        low_bits = int(span.trace_id, 16) & TraceIdRatioBased.TRACE_ID_LIMIT
        assert span.is_recorded == (low_bits < sampler.bound)
        if span.is_recorded:
            recorded.append(span.trace_id)
        span.end("/orders", 200)
    found = [each.context for each in requests_of(exporter)]
    assert 0 < len(recorded) < 200
    assert [format_trace_id(context.trace_id) for context in found] == recorded


async def test_request_outside_the_sample_is_no_span_and_its_lines_have_ids(
    exporter: InMemorySpanExporter, log: io.StringIO, client: httpx2.AsyncClient
) -> None:
    answer = await client.get("/notes/1", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert answer.json()["trace_id"] == TRACE
    assert requests_of(exporter) == []
    first = log.getvalue().splitlines()[0]
    assert f"trace_id={TRACE}" in first or f'"trace_id": "{TRACE}"' in first
    assert "span_id" in first
    assert SPAN not in first


async def test_lines_of_a_request_have_the_ids_of_its_span(
    container: Container,
    exporter: InMemorySpanExporter,
    log: io.StringIO,
    client: httpx2.AsyncClient,
) -> None:
    await client.get("/notes/1")
    (span,) = requests_of(exporter)
    first = log.getvalue().splitlines()[0]
    for name, value in (
        ("trace_id", format_trace_id(span.context.trace_id)),
        ("span_id", format_span_id(span.context.span_id)),
    ):
        assert f"{name}={value}" in first or f'"{name}": "{value}"' in first
    logging.getLogger("ordergate.server").warning("outside of requests")
    assert "trace_id" not in log.getvalue().splitlines()[-1]
