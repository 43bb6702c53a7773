"""Catch the log of the examples."""

import io
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Catch the log that an application configures, and restore it afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # an earlier test in this process may have configured its log
    with redirect_stderr(io.StringIO()) as log:
        yield log
    root.handlers[:] = handlers
    root.setLevel(level)
