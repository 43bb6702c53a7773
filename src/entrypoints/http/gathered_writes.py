"""Writes that are made one after the other, sent as one."""

import asyncio

_ENOUGH = 65_536
"""Bytes that wait for no more to come."""


class GatheredWrites:
    """As much of a transport as uvicorn uses; sends together what one step of the loop writes.

    uvicorn writes the head of an answer and its body apart: two system calls here and two packets
    for the client, where one of each is enough.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._written: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Keep it until this step is over, or until there is enough."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)
        self._size += len(data)
        if self._size > _ENOUGH:
            self._send()

    def close(self) -> None:
        """Send what was written, and close."""
        self._send()
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether it was closed, on either side."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Tell what the transport tells."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def _send(self) -> None:
        written, self._written, self._size = self._written, [], 0
        if written and not self._transport.is_closing():  # else nobody is there any more
            self._transport.writelines(written)
