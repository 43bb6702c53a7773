"""Where requests come from."""

from ipaddress import IPv6Address, ip_address, ip_network

_SITE_BITS = 64
"""The part of an IPv6 address that tells sites apart: one customer has all the rest."""


def site_of(address: str) -> str:
    """Return what an address counts as: itself, or of IPv6 the network that one customer has.

    An IPv4 address is the same however a socket writes it; what is no IP address is left as it is.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:  # an IPv4 client of a socket that takes both
        return str(ip.ipv4_mapped)
    return str(ip_network((int(ip), _SITE_BITS), strict=False))
