"""A transport that sends consecutive writes together."""

import asyncio
import socket
import struct
from collections.abc import Callable

_ENOUGH = 65_536
"""Bytes that are sent without waiting for more."""
LINGER_SECONDS = 2
"""How long a client that is still sending may take to read its last answer."""


_NO_LINGER = struct.pack("ii", 1, 0)

_Data = bytes | bytearray | memoryview


class CoalescingTransport(asyncio.Transport):
    """Sends together everything that one step of the event loop writes.

    It implements the transport methods that uvicorn calls; the others raise `NotImplementedError`.
    uvicorn writes the head and the body of an answer separately: two system calls here and two
    packets for the client.

    A socket that is closed with unread input is reset, and the reset discards answers that the
    client has not read. While `expects_more()`, closing ends the sending side only, discards input
    for at most `LINGER_SECONDS`, and then closes (RFC 9112, section 9.6).
    """

    def __init__(
        self, transport: asyncio.Transport, expects_more: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._written: list[_Data] = []
        self._size = 0
        self._expects_more = expects_more
        self.closed = False
        """Whether this side has closed it, and waits at most for the other."""

    def write(self, data: _Data) -> None:
        """Buffer the data until this step ends or there is enough."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)
        self._size += len(data)
        if self._size > _ENOUGH:
            self._send()

    def close(self) -> None:
        """Send buffered data, and close."""
        if self.closed:
            return
        self._send()
        self.closed = True
        if self._transport.is_closing():
            return
        if self._expects_more() and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._loop.call_later(LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Report whether either side has closed the connection."""
        return self.closed or self._transport.is_closing()

    def abort(self) -> None:
        """Reset the connection, and drop everything that is not sent."""
        connected = self._transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def count_unsent(self) -> int:
        """Count the bytes that the system has not taken yet."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return the information of the transport."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Pause reading; input of a closed connection is still discarded."""
        if not self.closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading."""
        if not self.closed:
            self._transport.resume_reading()

    def _send(self) -> None:
        written, self._written, self._size = self._written, [], 0
        if written and not self.closed and not self._transport.is_closing():  # else it is lost
            self._transport.writelines(written)
