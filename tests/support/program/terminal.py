"""A terminal for commands that ask questions."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.program.captured_output import OUTPUT
from tests.support.program.command import SECONDS, clean_environment

_PROGRAM = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from ordergate.entrypoints.__main__ import main
main()
"""
"""The command, which Ctrl-C on the terminal of its standard input interrupts."""


class Terminal:
    """A terminal: its screen and its keyboard."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = ""
        self._read = 0

    def read_until(self, text: str) -> None:
        """Read to the end of the next occurrence of the text."""
        while (found := self.shown.find(text, self._read)) < 0:
            self.shown += os.read(self._descriptor, 4096).decode()
        self._read = found + len(text)
        OUTPUT.add(self.shown)

    def type(self, line: str) -> None:
        os.write(self._descriptor, f"{line}\n".encode())

    def press(self, key: bytes) -> None:
        os.write(self._descriptor, key)


@contextmanager
def on_a_terminal(
    *arguments: str, cwd: Path, status: int = 0, **settings: Any
) -> Iterator[Terminal]:
    """Run a command on a terminal until it exits with this status."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=cwd,
        env=clean_environment(**settings),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    yield Terminal(main)
    assert process.wait(SECONDS) == status
    os.close(main)
