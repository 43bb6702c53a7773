"""Fail a run that skipped a test of docs/security.md."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def promised_tests() -> list[tuple[str, str]]:
    """Return the file and the name of each test on the page."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())


class SkippedPromises:
    """Collect reports of skipped tests, in the process that starts workers."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("::")[2].partition("[")[0]
        if report.skipped and name in {name for _, name in promised_tests()}:
            self.names.append(name)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.names:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.names:
            names = ", ".join(sorted(set(self.names)))
            terminalreporter.write_line(f"Skipped tests of docs/security.md: {names}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkippedPromises())
