"""Refuse I/O in unit tests: connections and written files fail them."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from threading import Event

import pytest

from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.settings import Settings

_OF_TOOLS = (".hypothesis", ".pyc", ".coverage")
_watching = Event()


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching.is_set():
        return
    if event in {"socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen"}:
        raise AssertionError(f"a unit test reaches outside: {event}")
    # A number is a descriptor, which an event before this one opened: CPython writes bytecode so.
    if event == "open" and not isinstance(arguments[0], int):
        path, mode, flags = str(arguments[0]), str(arguments[1] or ""), arguments[2]
        writes = set("wax+") & set(mode) or int(str(flags)) & (os.O_WRONLY | os.O_RDWR)
        if writes and not any(part in path for part in _OF_TOOLS):
            raise AssertionError(f"a unit test writes a file: {path}")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def forbid_io() -> Iterator[None]:
    _watching.set()
    yield
    _watching.clear()


@pytest.fixture
def error_log() -> Iterator[io.StringIO]:
    """Log only errors to a replaced standard error; restore the log afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with redirect_stderr(io.StringIO()) as log:
        configure_logging(Settings(log_level="error", log_format="json"))
    yield log
    root.handlers[:] = handlers
    root.setLevel(level)
