"""The dashboard and the alerts, against metrics of real servers."""

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.support.program.captured_output import run_program
from tests.support.program.command import CHEAP, PASSWORD, SECONDS, ordergate, wait_until
from tests.support.program.metrics import Samples, scrape
from tests.support.program.server import Start
from tests.support.programs import find_program
from tests.support.tokens.oidc_issuer import AUDIENCE, running_issuer

DEPLOY = Path(__file__).parents[3] / "deploy"
ALERTS = DEPLOY / "prometheus-alerts.yml"
DASHBOARD: Any = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
BY_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds."""

EXPRESSIONS = [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
]
VARIABLES = [
    variable["query"]["query"]
    for variable in DASHBOARD["templating"]["list"]
    if variable["type"] == "query"
]
RULES = [
    rule["expr"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
]


def list_labels(samples: Samples) -> dict[str, set[str]]:
    """Return the labels of each metric."""
    return {
        f"ordergate_{name}": {
            label.partition("=")[0] for labels in values for label in labels.split(",") if label
        }
        for name, values in samples.items()
    }


def test_queries_have_metrics_and_labels_of_real_servers(
    tmp_path: Path, start: Start, postgres_url: str
) -> None:
    settings = {**CHEAP, "METRICS_PORT": 0, "LOG_FORMAT": "json"}
    for command in (("migrate",), ("seed", "--users", 1, "--orders", 1)):
        done = ordergate(*command, cwd=tmp_path, PASSWORD=PASSWORD, **settings)
        assert done.returncode == 0, done.stderr
    with running_issuer() as issuer:
        issuer.publish_metadata()
        own = start("serve", cwd=tmp_path, **settings)
        external = start(
            "serve",
            cwd=tmp_path,
            **settings,
            DATABASE_URL=postgres_url,
            IDENTITY_PROVIDER="oidc",
            ISSUER=issuer.name,
            AUDIENCE=AUDIENCE,
        )
        form = {"username": "user1", "password": PASSWORD}
        with httpx2.Client(base_url=own.url, timeout=SECONDS) as client:
            token = client.post("/login", data=form).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            assert client.get("/orders/1").status_code == 200
        wait_until(lambda: "session_cache_age_seconds" in scrape(own))
        wait_until(lambda: "issuer_keys_age_seconds" in scrape(external))
        served = list_labels(scrape(external)) | list_labels(scrape(own))
    for query in (*EXPRESSIONS, *VARIABLES, *RULES):
        known = set(BY_PROMETHEUS)
        for metric, matchers in re.findall(r"\b(ordergate_\w+)(?:\{([^}]*)\})?", query):
            assert metric in served, query
            assert {*re.findall(r"(\w+)[=!]", matchers)} <= served[metric] | BY_PROMETHEUS, query
            known |= served[metric]
        for by in re.findall(r"\bby \(([^)]*)\)", query):
            assert {*by.split(", ")} <= known, query


def test_panels_show_the_chosen_job_and_instances() -> None:
    for expression in EXPRESSIONS:
        selectors = re.findall(r"ordergate_\w+(\S+)", expression)
        assert selectors
        for selector in selectors:
            assert selector.startswith('{job="$job",instance=~"$instance"'), expression


def test_panels_do_not_overlap() -> None:
    covered = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) == 23
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_queries_and_rules_are_accepted_by_prometheus(tmp_path: Path) -> None:
    program = find_program("promtool")
    expressions = [each.replace("$__rate_interval", "5m") for each in EXPRESSIONS]
    rules = [{"record": f"panel:{i}", "expr": each} for i, each in enumerate(expressions)]
    queries = tmp_path / "queries.yml"
    queries.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    for file in (ALERTS, queries):
        done = run_program([program, "check", "rules", file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
