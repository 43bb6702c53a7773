"""The protocols of systemd, without its library."""

import multiprocessing
import os
import socket
from contextlib import suppress

from ordergate.entrypoints.server.listening import CannotListen

_FIRST_PASSED = 3
"""The descriptor of the first passed socket (sd_listen_fds(3))."""


def take_passed_socket() -> socket.socket | None:
    """Return the listening socket that systemd has passed, if any.

    Raises `CannotListen` for several sockets, or one of another kind.
    """
    passed_to, number = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if passed_to != str(os.getpid()) or not number.isdecimal() or number == "0":
        return None
    try:
        passed = socket.socket(fileno=_FIRST_PASSED)
        is_listening = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise CannotListen(f"cannot use the socket of systemd: {error.strerror}") from None
    if number != "1" or passed.type != socket.SOCK_STREAM or not is_listening:
        raise CannotListen("systemd must pass one listening stream socket (ListenStream=)")
    passed.set_inheritable(False)
    return passed


def notify(state: str) -> None:
    """Tell the service manager `READY=1` or `STOPPING=1` (sd_notify(3)).

    Only the first process of a service may, so a worker says nothing. An absent manager is ignored.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or multiprocessing.parent_process() is not None:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(state.encode(), address)
