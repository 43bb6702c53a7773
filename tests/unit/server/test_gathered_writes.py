"""Writes of one event loop step are sent together, in order."""

import asyncio
from collections.abc import Iterable
from socket import socketpair

import pytest

from ordergate.entrypoints.server import coalescing_transport
from ordergate.entrypoints.server.coalescing_transport import CoalescingTransport


class Sending(asyncio.Transport):
    """Notes what is handed to the socket."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711)})
        self.sent: list[bytes] = []
        self.closed = False

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        assert not self.closed
        self.sent.append(b"".join(list_of_data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
async def socket() -> Sending:
    return Sending()


async def a_step() -> None:
    await asyncio.sleep(0)


async def test_head_and_its_body_are_sent_together(socket: Sending) -> None:
    gathered = CoalescingTransport(socket)
    gathered.write(b"head ")
    gathered.write(b"body")
    assert socket.sent == []
    await a_step()
    assert socket.sent == [b"head body"]


async def test_later_writes_are_sent_later(socket: Sending) -> None:
    gathered = CoalescingTransport(socket)
    for piece in (b"one", b"two"):
        gathered.write(piece)
        await a_step()
    assert socket.sent == [b"one", b"two"]


async def test_large_write_is_sent_immediately(socket: Sending) -> None:
    gathered = CoalescingTransport(socket)
    gathered.write(b"head")
    gathered.write(b"x" * 65_536)
    assert [len(sent) for sent in socket.sent] == [65_540]
    gathered.write(b"more")
    await a_step()
    assert socket.sent[1:] == [b"more"]


async def test_close_sends_pending_writes(socket: Sending) -> None:
    gathered = CoalescingTransport(socket)
    gathered.write(b"last words")
    assert not gathered.is_closing()
    gathered.close()
    assert (socket.sent, gathered.is_closing()) == ([b"last words"], True)
    await a_step()
    assert socket.sent == [b"last words"]


async def test_other_calls_are_passed_to_the_transport(socket: Sending) -> None:
    assert CoalescingTransport(socket).get_extra_info("peername") == ("192.0.2.1", 4711)


async def test_pending_writes_are_dropped_when_the_client_has_gone(socket: Sending) -> None:
    gathered = CoalescingTransport(socket)
    gathered.write(b"too late")
    socket.close()
    await a_step()
    gathered.close()
    assert socket.sent == []


async def test_close_waits_for_a_client_that_is_still_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coalescing_transport, "LINGER_SECONDS", 0.01)
    reader, writer = await asyncio.open_connection(sock=(pair := socketpair())[0])
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
        asyncio.Protocol, pair[1]
    )
    gathered = CoalescingTransport(transport, lambda: True)
    gathered.write(b"last words")
    gathered.close()
    gathered.close()
    gathered.write(b"too late")
    assert gathered.is_closing()
    assert not transport.is_closing()
    assert await reader.read() == b"last words"
    async with asyncio.timeout(10):
        while not transport.is_closing():
            await asyncio.sleep(0.001)
    writer.close()
