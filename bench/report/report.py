"""The results of a run, as text and as JSON."""

import json
import statistics
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

FIRST = "this"
"""The contestant that ratios refer to."""

BESIDE = {"/s": ("ms p50", "ms p99", "client cores"), "s": (), "MiB": ("MiB idle",)}
"""Units of figures, each with the unit of its secondary figures."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The values of a contestant in one workload, by round.

    `BESIDE` has their unit.
    """

    workload: str
    what: str
    contestant: str
    who: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(slots=True)
class Report:
    """The machine, the figures of a run, and reasons for missing ones.

    `targets` are lines with the verdict on each target.
    """

    machine: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    interrupted: bool = False

    def median(self, workload: str, contestant: str, unit: str) -> float | None:
        for figure in self.figures:
            if (figure.workload, figure.contestant, figure.unit) == (workload, contestant, unit):
                return figure.median
        return None

    def ratio(self, figure: Figure) -> float | None:
        """Return the ratio to this project's figure."""
        first = self.median(figure.workload, FIRST, figure.unit)
        return figure.median / first if first else None

    def text(self) -> str:
        """Write tables of at most 100 columns."""
        lines = [_wrapped(f"{name}: {value}") for name, value in self.machine.items()]
        before = ""
        for figure in self.figures:
            beside = BESIDE.get(figure.unit)
            if beside is None:
                continue
            if before != figure.workload:
                before = figure.workload
                heads = "".join(f"{unit:>8}" for unit in ("ratio", *(_head(u) for u in beside)))
                lines += ["", f"{figure.what:40} {figure.unit:>5}  {'(min to max)':18}{heads}"]
            ratio = self.ratio(figure)
            others = (self.median(figure.workload, figure.contestant, unit) for unit in beside)
            span = f"({short(min(figure.values))} to {short(max(figure.values))})"
            cells = (times(ratio), *map(short, others))
            lines.append(
                f"  {figure.who:34} {short(figure.median):>9}  {span:18}"
                + "".join(f"{cell:>8}" for cell in cells)
            )
        for heading, entries in (
            ("targets:", self.targets),
            ("not measured:", self.missing),
            ("FAILED:", self.failed),
        ):
            if entries:
                lines += ["", heading, *(_wrapped(f"  {line}") for line in dict.fromkeys(entries))]
        if self.interrupted:
            lines += ["", "INTERRUPTED: only what is above was measured until then"]
        return "\n".join(line.rstrip() for line in lines)

    def json(self) -> str:
        """Write an object of these members.

        - `machine`: names and values, all text.
        - `interrupted`: whether the run was interrupted before its end.
        - `figures`: a list of objects. `workload` and `contestant` are the names in bench/, and
          `unit` is one of `/s`, `ms p50`, `ms p99`, `client cores` (of a load), `s` (of a start),
          `MiB` and `MiB idle` (of memory). `values` has a number for each round; `median` is
          their median, and `ratio_to_this` the ratio to this project on SQLite, or null.
        - `targets`, `not_measured`, `failed`: lists of text.
        """
        figures = [
            {
                "workload": figure.workload,
                "contestant": figure.contestant,
                "unit": figure.unit,
                "values": figure.values,
                "median": figure.median,
                "ratio_to_this": self.ratio(figure),
            }
            for figure in self.figures
        ]
        whole = {"machine": self.machine, "interrupted": self.interrupted, "figures": figures}
        whole |= {"targets": self.targets, "not_measured": self.missing, "failed": self.failed}
        return json.dumps(whole, indent=1) + "\n"


def short(value: float | None) -> str:
    """Write a number with three digits, or all digits before its point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: float | None) -> str:
    """Write a ratio with two decimals, or two digits if small."""
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _wrapped(line: str) -> str:
    return fill(line, 100, subsequent_indent="    ")


def _head(unit: str) -> str:
    return {"client cores": "client", "MiB idle": "idle"}.get(unit, unit)
