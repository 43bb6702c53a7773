"""The metrics of a server, as Prometheus reads them."""

import re

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.program.command import SECONDS
from tests.support.program.server import Server

Samples = dict[str, dict[str, float]]
"""The values of each sample by its labels."""


def find_url(server: Server) -> str:
    """Return the address of the metrics, from the log."""
    for line in server.output:
        if found := re.search(r'"metrics_url": "([^"]+)"', line):
            return found[1]
    raise AssertionError(server.output)


def scrape(server: Server) -> Samples:
    answer = httpx2.get(f"{find_url(server)}/metrics", timeout=SECONDS)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return parse(answer.text)


def parse(text: str) -> Samples:
    read: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            assert labels not in read.setdefault(sample.name.removeprefix("ordergate_"), {})
            read[sample.name.removeprefix("ordergate_")][labels] = sample.value
    return read
