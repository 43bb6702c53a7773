"""Environment variables: their text, or the mistake in it.

A secret `X` can also be in a file that `X_FILE` names, which is how Docker and Kubernetes pass
secrets to a container.
"""

import errno
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ordergate.entrypoints.config.plain_text import find_path_flaw, is_blank

FILE_SUFFIX = "_FILE"

_MAX_FILE_BYTES = 65_536
_LAST_NEWLINE = re.compile(r"\r?\n\Z")


_NO_SUCH_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})

Explain = Callable[[OSError, Path], str]
"""Says why the system refuses a file."""


def repeat_reason(error: OSError, _path: Path) -> str:
    """Repeat what the system says."""
    return error.strerror or str(error)


class _UnusableFileError(Exception):
    """The reason why the file of a secret is unusable."""


class Variable(NamedTuple):
    """A variable that is set: its full name, its text or problem.

    The problem is a line that names the variable and never quotes a value.
    """

    name: str
    text: str = ""
    problem: str | None = None


def read_variable(
    environment: Mapping[str, str],
    name: str,
    *,
    secret: bool = False,
    unset: str = "unset it",
    explain: Explain = repeat_reason,
) -> Variable | None:
    """Read a variable.

    A secret may be in the file that `name` + `_FILE` names.

    Returns `None` when neither is set. `unset` says what to do about a blank one.
    """
    by_file = name + FILE_SUFFIX
    if secret and by_file in environment:
        if name in environment:
            return Variable(name, problem=f"{name} and {by_file} exclude each other")
        return _read_from_file(by_file, environment[by_file], explain)
    if name not in environment:
        return None
    text = environment[name]
    problem = _find_problem(name, text, unset)
    return Variable(name, problem=problem) if problem else Variable(name, text)


def _find_problem(name: str, text: str, unset: str) -> str | None:
    if any(
        "\ud800" <= character <= "\udfff" for character in text
    ):  # Python's form of invalid bytes
        return f"{name} is not UTF-8"
    return f"{name} is blank; {unset}" if is_blank(text) else None


def _read_from_file(name: str, path: str, explain: Explain) -> Variable:
    problem = _find_problem(name, path, "unset it, or name a file that holds the value")
    if problem:
        return Variable(name, problem=problem)
    try:
        return Variable(name, _LAST_NEWLINE.sub("", _read_content(path, explain)))
    except _UnusableFileError as error:
        return Variable(name, problem=f"{name}: {error}")


def _read_content(path: str, explain: Explain) -> str:
    """Return the text of a file. Raises `_UnusableFileError` that never quotes it."""
    if flaw := find_path_flaw(path):
        raise _UnusableFileError(f"the path {flaw}")
    try:
        # Every worker reads the file again. A pipe can be read once, and opening one may block.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise _UnusableFileError(f"{path} is not a regular file")
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        if error.errno in _NO_SUCH_FILE and not path.startswith(("/", ".")):
            # It may be the secret itself, put into the wrong variable.
            raise _UnusableFileError(
                "there is no such file; it must be the path of a file that holds the value"
            ) from None
        raise _UnusableFileError(f"cannot read {path}: {explain(error, Path(path))}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise _UnusableFileError(f"{path} has more than {_MAX_FILE_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _UnusableFileError(f"{path} is not UTF-8") from None
    if is_blank(text):
        raise _UnusableFileError(f"{path} is blank")
    return text
