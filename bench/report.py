"""What was measured: kept, and written as text, as JSON and as a picture."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Any

FIRST = "this"
"""Ratios are to this contestant."""

_ROW, _LEFT, _WIDTH = 22, 230, 460


@dataclass(frozen=True, slots=True)
class Figure:
    """What one contestant came to in each round of a workload: `unit` is `/s`, `ms`, `s`, `MiB`."""

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
    """The machine, the figures of one run, and why others are `missing` or have `failed`."""

    machine: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def median(self, workload: str, contestant: str, unit: str) -> float | None:
        for figure in self.figures:
            if (figure.workload, figure.contestant, figure.unit) == (workload, contestant, unit):
                return figure.median
        return None

    def ratio(self, figure: Figure) -> float | None:
        """Return how many times this project's figure it is."""
        first = self.median(figure.workload, FIRST, figure.unit)
        return figure.median / first if first else None

    def text(self) -> str:
        lines = [f"{name}: {value}" for name, value in self.machine.items()]
        before: tuple[str, str] | None = None
        for figure in self.figures:
            if before != (figure.what, figure.unit):
                before = (figure.what, figure.unit)
                lines += ["", f"{figure.what} ({figure.unit})"]
            ratio = self.ratio(figure)
            span = f"({_short(min(figure.values))} to {_short(max(figure.values))})"
            lines.append(
                f"  {figure.who:28} {_short(figure.median):>9}  {span:20}"
                f" {'' if ratio is None else f'{ratio:6.2f}'}"
            )
        for heading, told in (("not measured:", self.missing), ("FAILED:", self.failed)):
            if told:
                lines += ["", heading, *(f"  {line}" for line in dict.fromkeys(told))]
        return "\n".join(lines)

    def json(self) -> str:
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
        whole = {"machine": self.machine, "figures": figures}
        whole |= {"not_measured": self.missing, "failed": self.failed}
        return json.dumps(whole, indent=1) + "\n"

    def svg(self) -> str:
        """Draw the medians of all rates as bars, each workload to its own scale."""
        rates = [figure for figure in self.figures if figure.unit == "/s"]
        parts: list[str] = []
        y = 0
        for workload in dict.fromkeys(figure.workload for figure in rates):
            group = [figure for figure in rates if figure.workload == workload]
            y += _ROW + 8
            parts.append(f'<text class="head" x="8" y="{y}">{escape(group[0].what)}</text>')
            top = max(figure.median for figure in group) or 1
            for figure in group:
                y += _ROW
                parts += _bar(figure, figure.median / top, self.ratio(figure), y)
        title = "Answers a second, medians of one run; beside each, its ratio to this project"
        return _SVG.format(
            width=_LEFT + _WIDTH + 150, height=y + 16, title=escape(title), body="\n".join(parts)
        )


def _bar(figure: Figure, share: float, ratio: float | None, y: int) -> Iterable[str]:
    length = max(1, round(share * _WIDTH))
    kind = "this" if figure.contestant.startswith(FIRST) else "other"
    told = _short(figure.median) + ("" if ratio is None else f"  ({ratio:.2f})")
    yield f'<text class="who" x="{_LEFT - 8}" y="{y}">{escape(figure.who)}</text>'
    yield f'<rect class="{kind}" x="{_LEFT}" y="{y - 12}" width="{length}" height="15" rx="2"/>'
    yield f'<text x="{_LEFT + length + 6}" y="{y}">{told}</text>'


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
text {{ font: 13px system-ui, sans-serif; fill: #1f2328 }}
.head {{ font-weight: 600 }}
.who {{ text-anchor: end }}
.this {{ fill: #0969da }}
.other {{ fill: #8c959f }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.this {{ fill: #4493f8 }}
.other {{ fill: #6e7681 }}
}}
</style>
{body}
</svg>
"""
