"""The parts of requests in traces, of real servers on each database."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.program.collector import CLIENT, Collector, Span, collect
from tests.support.program.command import CHEAP, PASSWORD, SECONDS, ordergate
from tests.support.program.server import Server, Start

ON = {**CHEAP, "TELEMETRY": "otlp", "PASSWORD": PASSWORD}
READ = "SELECT orders order_lines"
SECRETS = ("user1", "value-of-a-parameter", "key-of-an-order", PASSWORD)
ORDER = {
    "lines": [
        {"sku": "A-1", "name": "value-of-a-parameter", "quantity": 1, "unit_price": "2.50"},
        {"sku": "A-2", "name": "value-of-a-parameter", "quantity": 1, "unit_price": "2.50"},
    ],
    "currency": "EUR",
}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Run a collector for the servers of the test."""
    with collect() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield collector


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return an engine, and the URL of a database with orders."""
    urls = {"postgresql": "bare_postgres_url", "mariadb": "bare_mariadb_url"}
    fixture = urls.get(request.param)
    url = request.getfixturevalue(fixture) if fixture else f"sqlite:///{tmp_path / 'orders.db'}"
    for command in (("migrate",), ("seed", "--users", 1, "--orders", 30)):
        done = ordergate(*command, cwd=tmp_path, DATABASE_URL=url, **ON)
        assert done.returncode == 0, done.stderr
    return request.param, url


@pytest.fixture
def server(database: tuple[str, str], tmp_path: Path, start: Start, collector: Collector) -> Server:
    return start("serve", cwd=tmp_path, DATABASE_URL=database[1], **ON)


def sign_in(server: Server) -> dict[str, str]:
    form = {"username": "user1", "password": PASSWORD}
    answer = httpx2.post(f"{server.url}/login", data=form, timeout=SECONDS)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def list_statements(collector: Collector, request: str) -> list[Span]:
    """Return the spans of the database in a trace, by their time."""
    (span,) = collector.wait_for(request)
    in_trace = [each for each in collector.spans if each.trace_id == span.trace_id]
    found = [each for each in in_trace if "db.system.name" in each.attributes]
    return sorted(found, key=lambda each: each.began)


def test_each_statement_and_commit_is_a_span_without_values(
    database: tuple[str, str], server: Server, collector: Collector
) -> None:
    system, url = database
    bearer = sign_in(server)
    with httpx2.Client(base_url=server.url, headers=bearer, timeout=SECONDS) as client:
        assert client.get("/me").status_code == 200  # reads the ended sessions
        keyed = {"Idempotency-Key": "key-of-an-order"}
        placed = client.post("/orders", json=ORDER, headers=keyed)
        assert placed.status_code == 201
        order = f"/orders/{placed.json()['id']}"
        assert client.get(order).status_code == 200
        assert client.get("/orders", params={"limit": 20}).status_code == 200
        assert client.post(f"{order}/cancel").status_code == 200
    assert server.stop() == 0
    found = {
        request: list_statements(collector, request)
        for request in (
            "GET /orders/{id}",
            "GET /orders",
            "POST /orders",
            "POST /orders/{id}/cancel",
            "POST /login",
        )
    }
    names = {request: [span.name for span in spans] for request, spans in found.items()}
    assert names["GET /orders/{id}"] == [READ]
    assert names["GET /orders"] == ["SELECT secrets", READ]
    if system == "sqlite":
        insert = ["INSERT orders", "INSERT order_lines", "INSERT idempotency_keys", "COMMIT"]
        assert names["POST /orders"] == ["SELECT users", "SELECT idempotency_keys", *insert]
        changes = ["SELECT users", READ, "UPDATE orders", "COMMIT"]
        assert names["POST /orders/{id}/cancel"] == changes
        (commit,) = (span for span in found["POST /orders"] if span.name == "COMMIT")
        assert commit.attributes["ordergate.group_commit.writes"] == 1
    else:
        (written,) = names["POST /orders"]
        assert "INSERT orders INSERT order_lines" in written
        assert names["POST /orders/{id}/cancel"] == [READ, "SELECT users UPDATE orders"]
    assert any("INSERT refresh_tokens" in name for name in names["POST /login"])
    for spans in found.values():
        for span in spans:
            assert (span.kind, span.failed) == (CLIENT, False)
            assert span.attributes["db.system.name"] == system
            operations = {word for word in span.name.split() if word.isupper()}
            named = span.attributes.get("db.operation.name")
            assert named == (operations.pop() if len(operations) == 1 else None)
            assert ("server.address" in span.attributes) == (system != "sqlite")
            if span.name != "COMMIT":
                assert span.attributes["db.query.summary"] == span.name
    (read,) = found["GET /orders/{id}"]
    assert "WHERE orders.owner_id = " in read.attributes["db.query.text"]
    if system != "sqlite":
        host = f"{read.attributes['server.address']}:{read.attributes['server.port']}"
        assert host in url
    sent = b"".join(collector.raw)
    assert [text for text in SECRETS if text.encode() in sent] == []


def test_commit_of_a_transaction_is_a_span(
    database: tuple[str, str], server: Server, collector: Collector
) -> None:
    bearer = sign_in(server)
    answer = httpx2.delete(f"{server.url}/sessions", headers=bearer, timeout=SECONDS)
    assert answer.status_code == 204
    assert server.stop() == 0
    names = [span.name for span in list_statements(collector, "DELETE /sessions")]
    assert names[-1] == "COMMIT"
    assert any("sessions" in name for name in names)


def test_request_outside_the_sample_has_no_parts(
    database: tuple[str, str], server: Server, collector: Collector
) -> None:
    bearer = sign_in(server)
    with httpx2.Client(base_url=server.url, headers=bearer, timeout=SECONDS) as client:
        client.get("/orders/1")
        outside = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-00"}
        assert client.get("/orders/1", headers=outside).status_code == 200
    assert server.stop() == 0
    assert len(collector.find(READ)) == 1
