"""Traces of real servers, as a collector receives them."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from tests.support.program.captured_output import run_program
from tests.support.program.collector import SERVER, Collector, collect
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    clean_environment,
    ordergate,
    seed_folder,
    wait_until,
)
from tests.support.program.log_lines import read_line
from tests.support.program.server import Server, Start, send_raw

ON = {**CHEAP, "TELEMETRY": "otlp", "LOG_FORMAT": "json", "ACCESS_LOG": "true"}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MISSING = (
    "ORDERGATE_TELEMETRY: needs the packages opentelemetry-sdk and"
    " opentelemetry-exporter-otlp-proto-http; install ordergate[otlp]"
)
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seed_folder(tmp_path_factory.mktemp("seeded"), orders=4)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Run a collector for the servers of the test."""
    with collect() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield collector


def sign_in(server: Server) -> dict[str, str]:
    form = {"username": "user1", "password": PASSWORD}
    answer = httpx2.post(f"{server.url}/login", data=form, timeout=SECONDS)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def get(server: Server, path: str, headers: dict[str, str]) -> httpx2.Response:
    return httpx2.get(server.url + path, headers=headers, timeout=SECONDS)


def lines_of(server: Server, event: str) -> list[dict[str, Any]]:
    return [read_line(line) for line in server.output if f'"event": "{event}"' in line]


def test_request_is_a_span_of_the_trace_that_it_names(
    seeded: Path, start: Start, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the-shop")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of-the-collector")
    server = start("serve", cwd=seeded, **ON)
    bearer = sign_in(server)
    assert get(server, "/orders/1", {**bearer, **PARENT}).status_code == 200
    refused = get(server, "/orders/2", {**bearer, **PARENT})
    assert refused.status_code == 404
    (found, missing) = collector.wait_for("GET /orders/{id}", 2)
    for span, status in ((found, 200), (missing, 404)):
        assert (span.kind, span.trace_id, span.parent, span.failed) == (SERVER, TRACE, SPAN, False)
        assert span.attributes == {
            "http.request.method": "GET",
            "http.response.status_code": status,
            "http.route": "/orders/{id}",
            "url.scheme": "http",
        }
    assert refused.json()["trace_id"] == TRACE
    assert [line["trace_id"] for line in lines_of(server, "request_finished")][1:] == [TRACE] * 2
    assert lines_of(server, "request_finished")[-1]["span_id"] == missing.span_id
    (signed_in,) = lines_of(server, "signed_in")
    (login,) = collector.wait_for("POST /login")
    assert (signed_in["trace_id"], login.parent) == (login.trace_id, "")
    assert collector.headers[0]["x-api-key"] == "of-the-collector"
    resource = collector.resources[0]
    assert (resource["service.name"], "service.version" in resource) == ("the-shop", True)
    assert server.stop() == 0


def test_hashing_is_a_span_with_its_time_in_the_queue(
    seeded: Path, start: Start, collector: Collector
) -> None:
    server = start("serve", cwd=seeded, **ON)
    sign_in(server)
    (login,) = collector.wait_for("POST /login")
    (hashing,) = collector.wait_for("hash password")
    (use_case,) = collector.wait_for("AuthenticateUser")
    assert (hashing.trace_id, hashing.parent) == (login.trace_id, use_case.span_id)
    (queued,) = hashing.attributes.values()
    assert list(hashing.attributes) == ["ordergate.hashing.queue_seconds"]
    assert 0 <= queued < SECONDS
    assert server.stop() == 0


def test_refusal_of_a_malformed_body_names_its_trace(
    seeded: Path, start: Start, collector: Collector
) -> None:
    server = start("serve", cwd=seeded, **ON)
    head = "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    parent = f"traceparent: {PARENT['traceparent']}\r\n\r\n"
    status, _, body = send_raw(server, f"{head}{form}{parent}1\r\na\r\n".encode(), b"zz\r\n")
    assert (status, json.loads(body).get("trace_id")) == (400, TRACE)
    assert server.stop() == 0


def test_each_worker_sends_its_spans_at_its_end(
    seeded: Path, start: Start, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    server = start("serve", "--workers", 2, cwd=seeded, **ON)
    for _ in range(20):  # each on a new connection, which any worker may take
        assert get(server, "/livez", {}).status_code == 200
    assert collector.spans == []
    assert server.stop() == 0
    assert len(collector.find("GET /livez")) == 21  # the start of the server is the first
    assert {resource["service.name"] for resource in collector.resources} == {"ordergate"}


def test_collector_that_is_silent_delays_no_request_and_no_end(
    seeded: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}?key=secret-of-the-collector"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
        server = start("serve", cwd=seeded, **ON)
        bearer = sign_in(server)
        for _ in range(20):
            assert get(server, "/orders/1", bearer).status_code == 200
        assert server.stop() == 0
    (late,) = lines_of(server, "traces_not_flushed")
    assert late["seconds"] == 2


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "Connection refused"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "grpc://me:secret-of-the-collector@localhost"},
            "InvalidSchema",
        ),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret-of-the-collector%0Ax"},
            "InvalidHeader",
        ),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "api-key: secret-of-the-collector"},
            "Connection refused",
        ),
    ],
    ids=["key", "password", "line break", "no header"],
)
def test_collector_that_cannot_be_reached_is_logged_once_and_without_its_key(
    seeded: Path,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    reason: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}/v1/traces?key=secret-of-the-collector"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    server = start("serve", cwd=seeded, **ON)
    assert get(server, "/livez", {}).status_code == 200
    wait_until(lambda: bool(lines_of(server, "traces_not_exported")))
    assert get(server, "/livez", {}).status_code == 200
    assert server.stop() == 0
    (line,) = lines_of(server, "traces_not_exported")
    assert line["reason"] == reason
    assert "secret-of-the-collector" not in "".join(server.output)


def test_sdk_is_not_loaded_by_default(tmp_path: Path) -> None:
    program = (
        "import sys; from ordergate.entrypoints.asgi import create;"
        "from ordergate.testing import make_container; create(make_container);"
        "sys.exit(any(each.startswith('opentelemetry.sdk') for each in sys.modules))"
    )
    done = run_program(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999", "max_export_batch_size must be"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be"),
    ],
)
def test_wrong_variable_of_the_sdk_is_a_mistake_of_the_settings(
    seeded: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    refused = ordergate("serve", "--port", 0, cwd=seeded, **ON)
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith(f"ordergate: a variable OTEL_* is wrong: {reason}")


@pytest.mark.parametrize(
    "missing", ["opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.exporter.otlp"]
)
def test_missing_package_is_a_mistake_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("ORDERGATE_TELEMETRY", "otlp")
    assert load_checked_settings().telemetry == "otlp"
    for module in [each for each in sys.modules if f"{each}.".startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SettingsError) as refused:
        load_checked_settings()
    assert refused.value.problems == [MISSING]
