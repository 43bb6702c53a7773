"""Where requests come from."""

from ipaddress import IPv6Address, ip_address, ip_network

_SITE_BITS = 64
"""The part of an IPv6 address that names a network: hosts choose all the rest."""
_CUSTOMER_BITS = 48


def client_network(address: str) -> str:
    """Return what an address counts as: itself, or of IPv6 its /64.

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


def customer_network(address: str) -> str:
    """Return the network that one customer may have.

    It is the /48 of an IPv6 address, and for any other address the same as `client_network`.

    RIPE-690 recommends that providers delegate a /56 or a /48, so one customer has up to 65,536
    sites.
    """
    site = client_network(address)
    return str(ip_network(site).supernet(new_prefix=_CUSTOMER_BITS)) if "/" in site else site
