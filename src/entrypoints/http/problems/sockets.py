"""Refusals of WebSockets."""

from http import HTTPStatus

from starlette.responses import Response
from starlette.status import WS_1008_POLICY_VIOLATION, WS_1011_INTERNAL_ERROR
from starlette.websockets import WebSocket, WebSocketState

from ordergate.entrypoints.http.problems.problem import get_reason_phrase

_DENIAL = "websocket.http.response"
"""The extension of servers that answer a refused handshake with any response."""


async def refuse_socket(socket: WebSocket, response: Response) -> None:
    """Answer a handshake with a response, or close the WebSocket.

    A server without the extension answers the handshake with 403. After the handshake, the code is
    1011 for an error of the service, and 1008 for one of the client (RFC 6455, section 7.4.1).
    """
    ended = {socket.application_state, socket.client_state} & {
        WebSocketState.DISCONNECTED,
        WebSocketState.RESPONSE,
    }
    if ended:
        return
    is_handshake = socket.application_state is WebSocketState.CONNECTING
    if is_handshake and _DENIAL in socket.scope.get("extensions", {}):
        await socket.send_denial_response(response)
        return
    is_ours = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    code = WS_1011_INTERNAL_ERROR if is_ours else WS_1008_POLICY_VIOLATION
    await socket.close(code, get_reason_phrase(response.status_code))
