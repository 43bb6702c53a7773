"""A terminal for commands that ask questions."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.captured_output import OUTPUT
from tests.support.command import SECONDS, clean_environment


class Terminal:
    """A terminal: its screen and its keyboard."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = ""

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            self.shown += os.read(self._descriptor, 4096).decode()
        OUTPUT.add(self.shown)

    def type(self, line: str) -> None:
        os.write(self._descriptor, f"{line}\n".encode())


@contextmanager
def on_a_terminal(*arguments: str, cwd: Path, **settings: Any) -> Iterator[Terminal]:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ordergate.entrypoints", *arguments],
        cwd=cwd,
        env=clean_environment(**settings),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    yield Terminal(main)
    os.close(main)
    assert process.wait(SECONDS) == 0
