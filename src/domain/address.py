"""Networks of client addresses."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_SITE_BITS = 64
"""The bits of an IPv6 address that name a network; its hosts choose the others."""
_CUSTOMER_BITS = 48


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an IP address; other text is `None`.

    An IPv4 address is the same in every notation of a socket.
    """
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return mapped or ip  # an IPv4 client of a dual-stack socket is mapped


def find_client_network(address: str) -> str:
    """Return the network by which an address counts.

    That is the address itself, or the /64 of an IPv6 address. Text that is not an IP address is
    returned unchanged.
    """
    ip = read_address(address)
    if ip is None:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip_network((int(ip), _SITE_BITS), strict=False))
    return str(ip)


def find_customer_network(address: str) -> str:
    """Return the largest network that one customer may have.

    That is the /48 of an IPv6 address, and `find_client_network` of any other address. RIPE-690
    recommends that providers delegate a /56 or a /48, so one customer has up to 65,536 networks.
    """
    site = find_client_network(address)
    return str(ip_network(site).supernet(new_prefix=_CUSTOMER_BITS)) if "/" in site else site
