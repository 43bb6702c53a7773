"""Speed, measured for every contestant in rounds, as medians and ratios.

python -m bench [--quick] [--only NAME ...] [--json FILE] [--svg FILE] [--check]
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

from bench.harness.run import NAMES, Options, measure, named
from bench.harness.targets import NEEDED, TARGETS
from bench.report.picture import svg

INTERRUPTED = 130
"""The exit status after Ctrl-C or SIGTERM; shells use it for Ctrl-C."""


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main ratios in about a minute")
    parser.add_argument("--only", action="append", metavar="WORKLOAD", default=[], help="of many")
    parser.add_argument("--seconds", type=float, help="of a load (5, quick: 1); wrk: whole")
    parser.add_argument("--rounds", type=int, help="of each (5, quick: 3)")
    parser.add_argument("--no-growth", action="store_true", help="without 10^7 orders")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    given = parser.parse_args()
    if unknown := [one for one in given.only if not any(named(one, n) for n in NAMES)]:
        parser.error(f"no workload is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    report = measure(
        Options(
            quick=given.quick,
            only=tuple(given.only) or (NEEDED if given.check else ()),
            seconds=given.seconds or (1 if given.quick else 5),
            rounds=given.rounds or (3 if given.quick else 5),
            growth=not given.no_growth,
        )
    )
    verdicts = [target.verdict(report) for target in TARGETS]
    report.targets = [line for _, line in verdicts]
    print(report.text())
    if given.json:
        given.json.write_text(report.json())
    if given.svg:
        given.svg.write_text(svg(report))
    if report.interrupted:
        sys.exit(INTERRUPTED)
    if report.failed:
        sys.exit("bench: not everything did what it must; see FAILED above")
    if given.check and not all(holds for holds, _ in verdicts):
        sys.exit(1)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
