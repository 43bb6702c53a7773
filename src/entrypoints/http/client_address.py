"""Where a request comes from: the connection's peer, or what a trusted proxy says.

Importing this module keeps uvicorn from reading `X-Forwarded-For` and `X-Forwarded-Proto` before
the application does. uvicorn wraps every application that it loads, unless `--no-proxy-headers` is
given, and believes these headers from 127.0.0.1 or from `FORWARDED_ALLOW_IPS`. An application
cannot see the address that was replaced, so uvicorn must not replace it: only
`ORDERGATE_TRUSTED_PROXIES` decides.
"""

import logging
from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network

import uvicorn.config
from starlette.types import ASGIApp

_DEFAULTS = ("127.0.0.1", "127.0.0.1,::1")

_log = logging.getLogger("ordergate.server")


def trusted_hosts(networks: Iterable[str]) -> list[str]:
    """Return the networks as sockets name them.

    A socket for both families names an IPv4 network as part of ::ffff:0:0/96.
    """
    hosts = []
    for network in map(ip_network, networks):
        hosts.append(str(network))
        if isinstance(network, IPv4Network):
            hosts.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return hosts


def _unwrapped(app: ASGIApp, trusted_hosts: object = _DEFAULTS[0]) -> ASGIApp:
    """Return the application itself where uvicorn would wrap it."""
    if trusted_hosts not in _DEFAULTS:
        _log.warning("forwarded_allow_ips_ignored", extra={"instead": "ORDERGATE_TRUSTED_PROXIES"})
    return app


_names = vars(uvicorn.config)
if "ProxyHeadersMiddleware" not in _names:
    raise ImportError("this uvicorn reads X-Forwarded-For elsewhere; install the one of the lock")
_names["ProxyHeadersMiddleware"] = _unwrapped
