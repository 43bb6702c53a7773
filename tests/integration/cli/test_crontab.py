"""The crontab lines of the documentation, run as cron runs them (crontab(5))."""

import re
import sys
from pathlib import Path

import pytest

from tests.support.program.captured_output import run_program
from tests.support.program.command import SECONDS, ordergate

ROOT = Path(__file__).parents[3]
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
FENCES = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"([A-Z_]+)\s*=\s*(.*)")
JOB = re.compile(r"(?:[-*/,0-9]+[ \t]+){5}(\S.*)")
BLOCKS = [
    (page.relative_to(ROOT).as_posix(), block)
    for page in PAGES
    for language, block in FENCES.findall(page.read_text())
    if language == "crontab"
]


def read_crontab(text: str) -> list[tuple[dict[str, str], str, str]]:
    """Return the environment, the command and the standard input of each job."""
    environment: dict[str, str] = {}
    jobs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if assignment := ASSIGNMENT.fullmatch(line):
            environment = environment | {assignment[1]: assignment[2]}
        else:
            job = JOB.fullmatch(line)
            assert job, line
            command, *lines = re.split(r"(?<!\\)%", job[1])
            jobs.append(
                (environment, command.replace(r"\%", "%"), "\n".join(lines).replace(r"\%", "%"))
            )
    return jobs


def test_crontab_is_read_as_cron_reads_it() -> None:
    assert read_crontab("A=1\n5 4 * * 0  mail -s 100\\% me%Hello%you\n*/5 1-2 * * *\tdate\n") == [
        ({"A": "1"}, "mail -s 100% me", "Hello\nyou"),
        ({"A": "1"}, "date", ""),
    ]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Create what the documentation assumes, below a folder for `/opt` and `/srv`."""
    for folder in ("home", "opt", "srv/ordergate", "srv/backups"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "opt/ordergate").symlink_to(Path(sys.executable).parents[1])
    home = tmp_path / "srv/ordergate"
    (home / "database-url").write_text(f"sqlite:///{home}/ordergate.db\n")
    assert ordergate("migrate", cwd=tmp_path, HOME=home).returncode == 0
    return tmp_path


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_crontab_lines_work_as_written(machine: Path, page: str, block: str) -> None:
    jobs = read_crontab(re.sub(r"(?<=[\s=])/(?=opt/|srv/)", f"{machine}/", block))
    assert jobs, page
    for environment, command, text in jobs:
        result = run_program(
            ["/bin/sh", "-c", command],
            cwd=machine / "home",
            env={
                "HOME": str(machine / "home"),
                "LOGNAME": "ordergate",
                "PATH": "/usr/bin:/bin",
                "SHELL": "/bin/sh",
                **environment,
            },
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * SECONDS,
        )
        assert result.returncode == 0, result.stderr
        assert re.match(r"Wrote |Removed |\S+ (signs|is published)", result.stdout), command
    assert not any((machine / "home").iterdir())
    backups = [path.name for path in (machine / "srv/backups").iterdir()]
    assert all(re.fullmatch(r"ordergate-\d{4}-\d\d-\d\d\.db", name) for name in backups)
    assert len(backups) == sum("backup" in command for _, command, _ in jobs)


def test_every_command_for_cron_has_its_line() -> None:
    written = "".join(block for _, block in BLOCKS)
    assert {page for page, _ in BLOCKS} == {"docs/keys.md", "docs/moving.md", "docs/operations.md"}
    for command in ("backup", "purge", "keys rotate"):
        assert f"/ordergate {command}" in written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_crontab_lines_are_in_crontab_blocks(page: Path) -> None:
    """A line elsewhere would not be run by these tests."""
    for language, block in FENCES.findall(page.read_text()):
        if language != "crontab":
            assert not any(JOB.fullmatch(line.strip()) for line in block.splitlines()), block
