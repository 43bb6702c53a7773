"""The client address: the connection's peer, or a trusted header's.

Importing this module keeps uvicorn from reading `X-Forwarded-For` and `X-Forwarded-Proto` first.
Without `--no-proxy-headers`, uvicorn wraps every application that it loads, and accepts these
headers from 127.0.0.1 or from `FORWARDED_ALLOW_IPS`. An application cannot see a replaced address,
so uvicorn must not replace it: only `ORDERGATE_TRUSTED_PROXIES` decides.
"""

import logging
from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network

import uvicorn.config
from starlette.types import ASGIApp, Receive, Scope, Send

from ordergate.entrypoints.config.setting_values import UNIX

_HEADER = b"x-forwarded-for"
_MAX_BYTES = 1_024
"""The maximum that is read of all fields, from the right: 20 addresses of the longest form."""
_DEFAULTS = ("127.0.0.1", "127.0.0.1,::1")

_log = logging.getLogger("ordergate.server")


def list_trusted_hosts(networks: Iterable[str]) -> list[str]:
    """Return the networks in the notation of sockets.

    A dual-stack socket names an IPv4 network as part of ::ffff:0:0/96.
    """
    hosts = []
    for name in networks:
        if name == UNIX:
            hosts.append(name)
            continue
        network = ip_network(name)
        hosts.append(str(network))
        if isinstance(network, IPv4Network):
            hosts.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return hosts


class BoundedForwarding:
    """Shortens `X-Forwarded-For` to its last part, and names Unix sockets.

    A proxy appends to the client's value, so the left part may have any length and content. A
    client of a Unix socket gets the address `unix`, which can be trusted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = scope.get("headers", ())
        sent = b",".join(value for name, value in headers if name == _HEADER)
        if len(sent) > _MAX_BYTES:
            _, _, last = sent[-_MAX_BYTES:].partition(b",")
            others = [header for header in headers if header[0] != _HEADER]
            scope = {**scope, "headers": [*others, (_HEADER, last)]}
        if scope["type"] != "lifespan" and not scope.get("client"):
            scope = {**scope, "client": (UNIX, 0)}
        await self.app(scope, receive, send)


def _leave_unwrapped(app: ASGIApp, trusted_hosts: object = _DEFAULTS[0]) -> ASGIApp:
    """Return the application that uvicorn would wrap."""
    if trusted_hosts not in _DEFAULTS:
        _log.warning("forwarded_allow_ips_ignored", extra={"instead": "ORDERGATE_TRUSTED_PROXIES"})
    return app


_names = vars(uvicorn.config)
if "ProxyHeadersMiddleware" not in _names:
    raise ImportError("this uvicorn reads X-Forwarded-For elsewhere; install the one of the lock")
_names["ProxyHeadersMiddleware"] = _leave_unwrapped
