"""What is kept of an observed request."""

import gc
import weakref

from starlette.types import Message, Receive, Scope, Send

from ordergate.entrypoints.http.middleware.observing import FinishedRequest, ObservedRequests


class Connection:
    """What a server such as uvicorn keeps of a request."""

    def __init__(self) -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "headers": [],
            "state": {"request_id": "an id"},
            "client": ("192.0.2.1", 4711),
        }

    async def send(self, message: Message) -> None:
        """Send nothing."""

    async def receive(self) -> Message:
        """Receive nothing."""
        return {"type": "http.disconnect"}


async def test_observed_request_leaves_no_work_to_the_garbage_collector() -> None:
    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    finished: list[FinishedRequest] = []
    connection = Connection()
    kept = weakref.ref(connection)
    gc.disable()
    try:
        serve = ObservedRequests(answer, [finished.append])
        await serve(connection.scope, connection.receive, connection.send)
        del connection
        assert kept() is None
    finally:
        gc.enable()
    assert [each.status for each in finished] == [204]
