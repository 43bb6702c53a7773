"""A picture of the main rates for the documentation."""

from collections.abc import Iterator
from html import escape

from bench.report.report import FIRST, Figure, Report, short, times

SHOWN = ("read-8", "read-flood", "list", "place", "mix", "sign-in")
"""The workloads in the picture, in two columns."""
LEFT_OUT = "raw"
"""The contestant that is left out, because its bar would hide all others."""

_COLUMN, _LEFT, _BAR, _ROW, _HEAD = 450, 184, 165, 20, 34
_TITLE = "Answers a second, one worker on one core, and the ratio to this project on SQLite"


def svg(report: Report) -> str:
    """Draw medians as bars, with a scale for each workload."""
    groups = [
        [
            figure
            for figure in report.figures
            if (figure.workload, figure.unit) == (name, "/s") and figure.contestant != LEFT_OUT
        ]
        for name in SHOWN
    ]
    groups = [group for group in groups if group]
    parts, y = [f'<text class="head" x="8" y="20">{escape(_title(report))}</text>'], 30
    for row in (groups[i : i + 2] for i in range(0, len(groups), 2)):
        for column, group in enumerate(row):
            parts += _group(report, group, 8 + column * _COLUMN, y)
        y += _HEAD + _ROW * max(map(len, row))
    return _SVG.format(
        width=2 * _COLUMN, height=y + 12, title=escape(_title(report)), body="\n".join(parts)
    )


def _title(report: Report) -> str:
    return _TITLE + (" (an interrupted run)" if report.interrupted else "")


def _group(report: Report, group: list[Figure], x: int, y: int) -> Iterator[str]:
    yield f'<text class="head" x="{x}" y="{y + 24}">{escape(group[0].what)}</text>'
    y += _HEAD
    top = max(figure.median for figure in group) or 1
    for figure in group:
        ratio = report.ratio(figure)
        length = max(1, round(figure.median / top * _BAR))
        kind = "this" if figure.contestant.split("-")[0] == FIRST else "other"
        label = short(figure.median)
        if figure.contestant != FIRST and ratio is not None:
            label += f" · {times(ratio)}"
        bar = x + _LEFT
        yield f'<text class="who" x="{bar - 8}" y="{y + 12}">{escape(figure.who)}</text>'
        yield f'<rect class="{kind}" x="{bar}" y="{y}" width="{length}" height="15" rx="2"/>'
        yield f'<text x="{bar + length + 6}" y="{y + 12}">{label}</text>'
        y += _ROW


_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
.page {{ fill: #ffffff }}
text {{ font: 13px system-ui, sans-serif; fill: #1f2328 }}
.head {{ font-weight: 600 }}
.who {{ text-anchor: end }}
.this {{ fill: #0969da }}
.other {{ fill: #8c959f }}
@media (prefers-color-scheme: dark) {{
.page {{ fill: #0d1117 }}
text {{ fill: #e6edf3 }}
.this {{ fill: #4493f8 }}
.other {{ fill: #6e7681 }}
}}
</style>
<rect class="page" width="100%" height="100%"/>
{body}
</svg>
"""
