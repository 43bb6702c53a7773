"""Targets: ratios of medians of one run."""

from dataclasses import dataclass

from bench.report.report import Report

Key = tuple[str, str, str]
"""A workload, a contestant and a unit."""


@dataclass(frozen=True, slots=True)
class Target:
    """A minimum or maximum of the ratio of two figures."""

    what: str
    figure: Key
    against: Key
    at_least: float | None = None
    at_most: float | None = None

    def verdict(self, report: Report) -> tuple[bool, str]:
        """Report the verdict and the ratio; without a measurement the target fails."""
        first, second = report.median(*self.figure), report.median(*self.against)
        bound = f"at least {self.at_least}" if self.at_most is None else f"at most {self.at_most}"
        if first is None or not second:
            return False, f"NOT MEASURED  {self.what}: {bound}"
        ratio = first / second
        holds = ratio >= (self.at_least or 0) and ratio <= (self.at_most or ratio)
        return holds, f"{'holds' if holds else 'MISSED':12}  {self.what}: {ratio:.2f}, {bound}"


READ = ("read-8", "this", "/s")

NEEDED = (
    *("read-8", "observed", "read-512", "read-flood", "sign-in-all", "place-64"),
    *("workers", "growth", "start-up"),
)
"""The values of `--only` that measure all targets."""

TARGETS = (
    Target("own-order read against the tutorial", READ, ("read-8", "tutorial", "/s"), 5),
    Target("own-order read against a constant route", READ, ("read-8", "constant", "/s"), 0.75),
    Target(
        "own-order read without compiled routes against a constant route",
        ("read-8", "this-uncompiled", "/s"),
        ("read-8", "constant", "/s"),
        0.5,
    ),
    Target(
        "own-order read on PostgreSQL against the tutorial there",
        ("read-8", "this-pg", "/s"),
        ("read-8", "tutorial-pg", "/s"),
        4.5,
    ),
    Target(
        "own-order read on PostgreSQL against that on SQLite",
        ("read-8", "this-pg", "/s"),
        READ,
        0.5,
    ),
    Target(
        "own-order read with metrics against without",
        ("observed", "this-metrics", "/s"),
        ("observed", "this", "/s"),
        0.95,
    ),
    Target(
        "own-order read with traces of 1 % against without",
        ("observed", "this-traces", "/s"),
        ("observed", "this", "/s"),
        0.9,
    ),
    Target("512 connections against 8", ("read-512", "this", "/s"), READ, 0.85),
    Target(
        "p99 of reads while sign-ins flood against without",
        ("read-flood", "this", "ms p99"),
        ("read-8", "this", "ms p99"),
        at_most=2,
    ),
    Target(
        "sign-ins on all cores against the machine's bcrypt",
        ("sign-in-all", "this", "/s"),
        ("sign-in-all", "machine", "/s"),
        0.95,
    ),
    Target(
        "own-order read with 10^7 orders against 10^3",
        ("growth-10000000", "this", "/s"),
        ("growth-1000", "this", "/s"),
        0.9,
    ),
    Target(
        "two workers against one",
        ("workers-2", "this", "/s"),
        ("workers-1", "this", "/s"),
        1.6,
    ),
    Target(
        "orders placed by 64 clients against one commit an order",
        ("place-64", "this", "/s"),
        ("place-64", "this-ungrouped", "/s"),
        4,
    ),
    Target(
        "orders placed by 64 clients on PostgreSQL against those on SQLite",
        ("place-64", "this-pg", "/s"),
        ("place-64", "this", "/s"),
        0.4,
    ),
    Target(
        "first answer of serve against importing FastAPI and SQLModel",
        ("start-up", "this", "s"),
        ("start-up", "imports", "s"),
        at_most=1.5,
    ),
)
