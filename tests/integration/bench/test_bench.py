"""bench/ reports what was measured, also when a run fails."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree as ET

import pytest

from bench.harness import load
from bench.harness.databases import Databases
from bench.harness.load import Failed, Request, Running, Unavailable
from bench.harness.run import NAMES, Options, Run, Turn
from bench.harness.targets import NEEDED, READ, TARGETS, Target
from bench.report.picture import svg
from bench.report.report import Figure, Report
from tests.support.program.command import clean_environment, wait_until

ROOT = Path(__file__).parents[3]
LOAD = Figure("read-8", "read <own> & order", "this", "this project", "/s", (1000, 900, 1200))
TUTORIAL = Figure("read-8", LOAD.what, "tutorial", "tutorial", "/s", (90, 100, 110))


def report(*figures: Figure, interrupted: bool = False) -> Report:
    return Report({"system": "one"}, [*figures], interrupted=interrupted)


# Reports


AGAINST = ("read-8", "tutorial", "/s")
AT_LEAST = Target("reads", READ, AGAINST, at_least=5)
AT_MOST = Target("reads", READ, AGAINST, at_most=2)


@pytest.mark.parametrize(
    ("target", "rates", "reported"),
    [
        (AT_LEAST, (50, 10), (True, "holds         reads: 5.00, at least 5")),
        (AT_LEAST, (49, 10), (False, "MISSED        reads: 4.90, at least 5")),
        (AT_MOST, (20, 10), (True, "holds         reads: 2.00, at most 2")),
        (AT_MOST, (21, 10), (False, "MISSED        reads: 2.10, at most 2")),
        (AT_LEAST, (50,), (False, "NOT MEASURED  reads: at least 5")),
        (AT_MOST, (), (False, "NOT MEASURED  reads: at most 2")),
    ],
)
def test_target_is_met_missed_or_unmeasured(
    target: Target, rates: tuple[float, ...], reported: tuple[bool, str]
) -> None:
    names = ("this", "tutorial")
    figures = [Figure("read-8", "", names[i], "", "/s", (rate,)) for i, rate in enumerate(rates)]
    assert target.verdict(report(*figures)) == reported


def test_every_target_is_of_what_a_check_measures() -> None:
    check = Options(quick=False, only=NEEDED, seconds=1, rounds=1, growth=True)
    named = {name for target in TARGETS for name, *_ in (target.figure, target.against)}
    assert named <= set(NAMES)
    assert all(map(check.wants, named))


def test_text_report_contains_medians_spans_ratios_and_errors() -> None:
    reported = report(
        LOAD,
        TUTORIAL,
        Figure("read-8", LOAD.what, "this", "", "ms p99", (4.25,)),
        Figure("start-up", "start", "this", "this project", "s", (0.5,)),
        interrupted=True,
    )
    reported.targets, reported.missing, reported.failed = (
        ["holds"],
        ["no disk", "no disk"],
        ["it died"],
    )
    assert reported.text().splitlines() == [
        "system: one",
        "",
        f"read <own> & order{'/s':>28}  (min to max)         ratio  ms p50  ms p99  client",
        f"  this project                           1,000  (900 to 1,200)        1.00{4.25:16}",
        "  tutorial                                 100  (90 to 110)           0.10",
        "",
        "start                                        s  (min to max)         ratio",
        "  this project                             0.5  (0.5 to 0.5)          1.00",
        "",
        "targets:",
        "  holds",
        "",
        "not measured:",
        "  no disk",
        "",
        "FAILED:",
        "  it died",
        "",
        "INTERRUPTED: only what is above was measured until then",
    ]
    assert max(map(len, reported.text().splitlines())) <= 100


def test_json_report_is_complete() -> None:
    assert json.loads(report(TUTORIAL, interrupted=True).json()) == {
        "machine": {"system": "one"},
        "interrupted": True,
        "figures": [
            {
                "workload": "read-8",
                "contestant": "tutorial",
                "unit": "/s",
                "values": [90, 100, 110],
                "median": 100,
                "ratio_to_this": None,
            }
        ],
        "targets": [],
        "not_measured": [],
        "failed": [],
    }


def test_picture_names_the_contestants_and_an_interruption() -> None:
    root = ET.fromstring(svg(report(LOAD, TUTORIAL, interrupted=True)))  # noqa: S314 - our own
    title, *reported = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert title is not None
    assert title.endswith("(an interrupted run)")
    assert reported == ["read <own> & order", "this project", "1,000", "tutorial", "100 · 0.10"]


# The client


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/hangs-up":
            self.close_connection = True
            return
        self.send_response(404 if self.path == "/refuses" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def small_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(load, "WRK", None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask_server(url: str, *requests: Request) -> load.Load:
    return Running(url, requests, connections=2, seconds=0.2, cores=load.CORES).result()


@pytest.mark.parametrize("request_", [Request("/"), Request("/refuses", status=404)])
def test_load_client_counts_answers(small_server: str, request_: Request) -> None:
    loaded = ask_server(small_server, request_)
    assert loaded.rate > 10
    assert 0 < loaded.p50 <= loaded.p99
    assert loaded.client > 0


@pytest.mark.parametrize(
    ("requests", "reported"),
    [
        ([Request("/"), Request("/refuses")], r"of (\d+) answers [1-9]\d* were 4xx or 5xx \(0 "),
        ([Request("/", status=404)], r"of (\d+) answers 0 were 4xx or 5xx \(\1 should be\)"),
        ([Request("/hangs-up")], "of 0 answers 0 were 4xx .* and 2 connections failed"),
    ],
)
def test_load_fails_on_another_status_or_a_missing_answer(
    small_server: str, requests: list[Request], reported: str
) -> None:
    with pytest.raises(Failed, match=reported):
        ask_server(small_server, *requests)


# Runs


def test_failed_contestant_is_reported_once_and_the_others_continue(tmp_path: Path) -> None:
    dying, living = iter([{"/s": 1.0}]), repeat({"/s": 2.0})

    def next_of_dying() -> dict[str, float]:
        for rate in dying:
            return rate
        raise Failed("it died")

    def missing() -> dict[str, float]:
        raise Unavailable("no disk")

    reported = report()
    options = Options(quick=False, only=(), seconds=1, rounds=3, growth=False)
    Run(options, Databases(tmp_path), reported).in_turn(
        [
            Turn("read", "", "dying", "", next_of_dying),
            Turn("read", "", "missing", "", missing),
            Turn("read", "", "living", "", lambda: next(living)),
        ]
    )
    assert [(figure.contestant, figure.values) for figure in reported.figures] == [
        ("dying", (1,)),
        ("living", (2, 2, 2)),
    ]
    assert (reported.missing, reported.failed) == (
        ["read of missing: no disk"],
        ["read of dying: it died"],
    )


def running(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Run the smallest workload of this project alone.

    An empty PATH has no wrk.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "--only", "growth-1000", "--seconds", "0.2",
         "--json", "it.json", "--svg", "it.svg", *options],
        cwd=folder,
        env=clean_environment() | {"PYTHONPATH": str(ROOT), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_run_measures_and_removes_its_files(tmp_path: Path) -> None:
    reported, progress = (run := running(tmp_path, "--rounds", "2")).communicate()
    assert (run.returncode, reported.count("this project on SQLite")) == (0, 1), reported + progress
    measured = json.loads((tmp_path / "it.json").read_text())
    assert [(f["unit"], len(f["values"])) for f in measured["figures"]] == [
        ("/s", 2), ("ms p50", 2), ("ms p99", 2), ("client cores", 2),
    ]  # fmt: skip
    assert measured["failed"] == []
    assert not measured["interrupted"]
    assert {path.name for path in tmp_path.iterdir()} == {"it.json", "it.svg"}


def test_interrupted_run_reports_its_results(tmp_path: Path) -> None:
    run = running(tmp_path, "--rounds", "1000")
    assert run.stderr is not None
    for line in run.stderr:
        if "round 3 of" in line:
            break
    run.send_signal(signal.SIGTERM)
    reported, _ = run.communicate()
    assert run.returncode == 130
    assert "INTERRUPTED" in reported
    measured = json.loads((tmp_path / "it.json").read_text())
    assert measured["interrupted"]
    assert len(measured["figures"][0]["values"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"it.json", "it.svg"}
    wait_until(lambda: not serving_from(tmp_path))


def serving_from(folder: Path) -> list[Path]:
    """Return the processes with a state file in a folder."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"ORDERGATE_HOME={folder}".encode() in environment.read_bytes():
                found.append(environment)
        except OSError:
            continue
    return found
