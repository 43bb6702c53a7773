"""PostgreSQL's password file, read as libpq reads it.

A line is `host:port:database:user:password`. A backslash escapes the next character, and a field
`*` matches everything. Comments (`#`) and lines without these fields are skipped. The first match
counts.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

_FIELD = re.compile(rb"((?:\\.|[^:\\])*):", re.DOTALL)
_PASSWORD = re.compile(rb"(?:\\.|[^:\\]|\\$)*", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_SOCKET_FOLDERS = frozenset({"/tmp", "/run/postgresql", "/var/run/postgresql"})
"""The default folders of a server's Unix socket, which the file calls `localhost`."""


@dataclass(frozen=True, slots=True)
class Login:
    """The host or socket folder, port, database and user of a connection."""

    host: str
    port: int
    database: str
    user: str


class PasswordFileIgnoredError(Exception):
    """The file is unreadable or has no password for the login.

    The message has the reason.
    """


def find_password_file(named: str | None) -> Path | None:
    """Return the path: the given one, that of PGPASSFILE, or ~/.pgpass."""
    if path := named or os.environ.get("PGPASSFILE"):
        return Path(path)
    try:
        return Path.home() / ".pgpass"
    except RuntimeError:  # the process has no home
        return None


def read_password(file: Path, login: Login) -> str:
    """Return the password of a login. Raises `PasswordFileIgnoredError` if there is none."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise PasswordFileIgnoredError("it is not a plain file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise PasswordFileIgnoredError(
                    "users other than its owner may use it; run chmod 600 on it"
                )
            lines = opened.read().split(b"\n")
    except OSError as error:
        raise PasswordFileIgnoredError(f"it cannot be read: {error.strerror}") from None
    for line in lines:
        password = _find_password_in(line.rstrip(b"\r"), login)
        if password is not None:
            try:
                return password.decode()
            except UnicodeDecodeError:
                raise PasswordFileIgnoredError("the password in it is not UTF-8") from None
    raise PasswordFileIgnoredError("no line of it matches host, port, database and user")


def _find_password_in(line: bytes, login: Login) -> bytes | None:
    if line.startswith(b"#"):
        return None
    host = {login.host} | ({"localhost"} if login.host in _SOCKET_FOLDERS else set())
    place = 0
    for allowed in (host, {str(login.port)}, {login.database}, {login.user}):
        field = _FIELD.match(line, place)
        if field is None:
            return None
        place = field.end()
        wanted = {text.encode(errors="surrogateescape") for text in allowed}
        if field[1] != b"*" and _unescape(field[1]) not in wanted:
            return None
    written = _PASSWORD.match(line, place)
    return _unescape(written[0]) if written else None


def _unescape(text: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", text)
