"""The socket that a server listens on."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BACKLOG = 2048
LAST_PORT = 65_535
_LAST_PRIVILEGED_PORT = 1023
_FIRST_SUGGESTED_PORT = 8000
_MODE = 0o660
"""The user and the group may connect, for which they need to write (unix(7))."""


class CannotListen(Exception):
    """The address is in use, not local or not permitted.

    The message says which.
    """


def listen(host: str, port: int, *, advice: str | None = None) -> socket.socket:
    """Bind a TCP socket and queue its connections.

    The system chooses a port for port 0. Call this first, so that a taken port is known before
    anything starts. Raises `CannotListen` with a message that ends with the `advice`, or with the
    option of `serve` to change.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is not an address"
        raise CannotListen(
            f"cannot listen on {host} port {port}: {reason}; {advice or _name_option(error)}"
        ) from None
    return listening


def suggest_port(taken: int) -> int:
    """Return a port for any user to listen on instead."""
    if taken <= _LAST_PRIVILEGED_PORT:
        return _FIRST_SUGGESTED_PORT + taken
    return taken - 1 if taken == LAST_PORT else taken + 1


def _name_option(error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EACCES:
        return f"choose one above {_LAST_PRIVILEGED_PORT} with --port"
    is_of_host = isinstance(error, socket.gaierror | UnicodeError) or code == errno.EADDRNOTAVAIL
    return f"choose another with {'--host' if is_of_host else '--port'}"


@contextmanager
def listen_on_path(path: Path) -> Iterator[socket.socket]:
    """Bind a Unix socket of mode 0660, and remove it afterwards.

    It replaces the socket of a killed server, and no other file. Raises `CannotListen`.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listening:
        try:
            with _lock(path.parent):
                _check_is_free(path)
                path.unlink(missing_ok=True)
                with _umask(0o777 - _MODE):
                    listening.bind(str(path))
                listening.listen(BACKLOG)
        except OSError as error:
            raise CannotListen(f"cannot listen on {path}: {_explain(error, path)}") from None
        bound = path.stat()
        try:
            yield listening
        finally:
            with suppress(OSError), _lock(path.parent):
                if os.path.samestat(path.stat(), bound):
                    path.unlink()


def _explain(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOENT:
            return f"there is no folder {path.parent}; make it, or choose another with --uds"
        case errno.EACCES | errno.EROFS:
            return f"{error.strerror}; let this user write in {path.parent}"
        case _:
            return f"{error.strerror or error}; choose another with --uds"


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one server at a time look for a free path."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)


def _check_is_free(path: Path) -> None:
    """Accept a missing file, or a socket that no server listens on."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise CannotListen(f"cannot listen on {path}: it exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.settimeout(0)
            client.connect(str(path))
        except ConnectionRefusedError:
            return
        except BlockingIOError:  # its queue is full
            pass
    raise CannotListen(f"cannot listen on {path}: another server does; choose another with --uds")


def get_listening_url(listening: socket.socket, *, scheme: str = "http") -> str:
    """Return the URL for a local browser, or `unix:` and a path."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
