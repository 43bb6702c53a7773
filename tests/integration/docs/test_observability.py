"""The page of metrics and the file of alerts."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from ordergate.adapters.metrics.exporter import Service
from ordergate.adapters.metrics.instruments import Instruments
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.ports.passwords import HashingLoad
from ordergate.application.ports.storage import ConnectionLoad, GroupCommits, ServerWork
from ordergate.application.ports.tokens import IssuerKeys

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "observability.md").read_text()
ALERTS = (ROOT / "deploy" / "prometheus-alerts.yml").read_text()
DASHBOARD = (ROOT / "deploy" / "grafana-dashboard.json").read_text()
ENDINGS = {"counter": "_total", "info": "_info"}
OF_HISTOGRAMS = re.compile("_(bucket|count|sum)$")


def list_metrics(folder: Path) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Service(folder, workers=1))
    instruments = Instruments(registry)
    instruments.loads.set_hashing(HashingLoad(threads=1, busy=0, queue=1, waiting=0))
    instruments.loads.set_connections(
        ConnectionLoad(limit=1, in_use=0, waiting=0, writes_waiting=0)
    )
    instruments.loads.set_work(ServerWork(round_trips=0, repetitions=0))
    instruments.loads.set_commits(GroupCommits(sizes=(), waiting=0))
    instruments.loads.set_session_cache(0)
    instruments.loads.set_issuer_keys({"https://issuer.example": IssuerKeys(0, failing=False)})
    return sorted(f"{each.name}{ENDINGS.get(each.type, '')}" for each in registry.collect())


def test_page_documents_every_metric(tmp_path: Path) -> None:
    documented = re.findall(r"^(?:\| )?`(ordergate_\w+)`", PAGE, re.MULTILINE)
    assert sorted(documented) == list_metrics(tmp_path)


def test_page_documents_events_that_exist() -> None:
    table = PAGE.partition("| `event` |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert documented <= {event.value for event in AuditEvent}
    assert len(documented) == 6


def test_alerts_use_metrics_that_exist_and_are_documented(tmp_path: Path) -> None:
    metrics = list_metrics(tmp_path)
    used = re.findall(r"\bordergate_\w+", ALERTS)
    assert used
    assert {OF_HISTOGRAMS.sub("", name) for name in used} <= set(metrics)
    events = re.findall(r'event="(\w+)"', ALERTS)
    assert set(events) <= {event.value for event in AuditEvent}
    alerts = re.findall(r"alert: (\w+)", ALERTS)
    assert re.findall(r"^\| `(Ordergate\w+)`", PAGE, re.MULTILINE) == alerts


def test_dashboard_shows_every_documented_metric(tmp_path: Path) -> None:
    shown = {OF_HISTOGRAMS.sub("", name) for name in re.findall(r"\bordergate_\w+", DASHBOARD)}
    assert sorted(shown) == list_metrics(tmp_path)
