"""Programs of the system that some tests run, such as reverse proxies."""

import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = "REQUIRED_TEST_PROGRAMS"
"""The variable with the names of programs that must be installed, separated by commas."""

_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


def find_program(name: str) -> str:
    """Return the path of a program.

    Without it, the test is skipped, or fails if the program is required.
    """
    path = shutil.which(name, path=_PATH)
    if path is None:
        give_up(name, f"{name} is not installed")
    return path


def give_up(name: str, reason: str) -> NoReturn:
    """Skip the test without a program; fail it if required."""
    end = pytest.fail if name in os.environ.get(REQUIRED, "").split(",") else pytest.skip
    end(reason)
