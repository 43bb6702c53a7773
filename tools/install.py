"""Install a lock into this interpreter's environment and show progress.

    .venv/bin/python tools/install.py requirements.lock

pip prints nothing while it installs packages, and many lines while it downloads them.
"""

import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

_PIP = ["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
# The lock is complete: no dependency is left to resolve. A pip older than 23.3 would ask an index
# for the newest release of each package that another package names with an extra.
_LOCKED = ["--no-deps", "--require-hashes", "--requirement"]
_SECONDS_A_LINE = 3.0
"""The interval of progress lines outside a terminal."""


def main(lock: str) -> int:
    """Run pip; return its exit status, and print output after a failure."""
    started, shown = time.monotonic(), ""
    with TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *_PIP, *_LOCKED, lock], stdout=output, stderr=subprocess.STDOUT
        )
        due = started
        while process.poll() is None:
            time.sleep(0.1)
            if time.monotonic() >= due:
                shown = _show(_progress(_printed(output), lock), shown)
                due = time.monotonic() + (0 if sys.stdout.isatty() else _SECONDS_A_LINE)
        if process.returncode:
            sys.stderr.write(_printed(output))
        else:
            number = _to_install(_printed(output))
            _show(f"installed {number} packages in {time.monotonic() - started:.0f} s", shown)
    if sys.stdout.isatty():
        sys.stdout.write("\n")
    return process.returncode


def _printed(output: IO[str]) -> str:
    output.seek(0)
    return output.read()


def _progress(printed: str, lock: str) -> str:
    if "Installing collected packages: " not in printed:
        pinned = len(re.findall("^[^ #]+==", Path(lock).read_text(encoding="utf-8"), re.MULTILINE))
        found = len(re.findall("^(?:Collecting|Ignoring) ", printed, re.MULTILINE))
        return f"downloading packages: {found} of {pinned}"
    number = _to_install(printed)
    return f"installing packages: {min(_installed(), number)} of {number}"


def _to_install(printed: str) -> int:
    """Count the packages that pip installs.

    It skips those of other systems and installed ones.
    """
    return printed.partition("Installing collected packages: ")[2].partition("\n")[0].count(",") + 1


def _installed() -> int:
    return sum(1 for _ in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))


def _show(line: str, shown: str) -> str:
    """Replace the previous line on a terminal; append a line elsewhere."""
    if line != shown:
        if sys.stdout.isatty():
            sys.stdout.write(f"\r  {line:<60}")
        else:
            sys.stdout.write(f"  {line}\n")
        sys.stdout.flush()
    return line


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:  # pip has it, too: the terminal interrupts both
        sys.exit("\nInterrupted; the same command begins again.")
