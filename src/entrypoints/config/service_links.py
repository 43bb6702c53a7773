"""Variables that Kubernetes sets in every pod for its Services.

Those of a Service named `ordergate` begin like our settings. Their form is documented at
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

_NUMBER = r"[1-9][0-9]{0,4}"
_LAST_PORT = 65_535
_SERVICE = r"(?P<service>[A-Z](?:[A-Z0-9_]*[A-Z0-9])?)"
_OF_PORT = rf"{_SERVICE}_PORT_(?P<port>{_NUMBER})_(?P<protocol>TCP|UDP|SCTP)"
_ADDRESS = r"(?P<address>[0-9A-Fa-f.:]+)"
_PROTOCOL = r"(?P<protocol>tcp|udp|sctp)"
_HOST = r"(?:(?P<ipv4>[0-9.]+)|\[(?P<ipv6>[0-9A-Fa-f]*:[0-9A-Fa-f.:]+)\])"
_URL = rf"{_PROTOCOL}://{_HOST}:(?P<port>{_NUMBER})"
_FORMS = (
    (rf"{_SERVICE}_SERVICE_HOST", _ADDRESS),
    (rf"{_SERVICE}_SERVICE_PORT(?:_[A-Z0-9_]{{1,15}})?", rf"(?P<port>{_NUMBER})"),
    (rf"{_SERVICE}_PORT", _URL),
    (_OF_PORT, _URL),
    (rf"{_OF_PORT}_PROTO", _PROTOCOL),
    (rf"{_OF_PORT}_PORT", rf"(?P<port>{_NUMBER})"),
    (rf"{_OF_PORT}_ADDR", _ADDRESS),
)
"""The forms of names, each with the form of its value, compiled on demand."""

_Address = IPv4Address | IPv6Address


def find_service_links(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the names of variables that have the form of service links.

    A port or protocol in a name equals that of the value, and a Service has one address.
    """
    names: defaultdict[str, set[str]] = defaultdict(set)
    addresses: defaultdict[str, set[_Address]] = defaultdict(set)
    for name, value in environment.items():
        for service, address in _list_readings(name, value):
            names[service].add(name)
            if address is not None:
                addresses[service].add(address)
    consistent = (names[service] for service in names if len(addresses[service]) <= 1)
    return frozenset(name for each in consistent for name in each)


def _list_readings(name: str, value: str) -> Iterator[tuple[str, _Address | None]]:
    """Yield each possible Service of a variable, with its address."""
    for name_form, value_form in _FORMS:
        in_name, in_value = re.fullmatch(name_form, name), re.fullmatch(value_form, value)
        if in_name is None or in_value is None:
            continue
        expected, found = in_name.groupdict(), in_value.groupdict()
        if int(found.get("port", 1)) > _LAST_PORT or any(
            found[part].upper() != expected[part] for part in found.keys() & expected.keys()
        ):
            continue
        text = found.get("address") or found.get("ipv4") or found.get("ipv6")
        if text is None:
            yield expected["service"], None
        elif (address := _parse_cluster_address(text)) is not None:
            yield expected["service"], address


def _parse_cluster_address(text: str) -> _Address | None:
    """Return the possible cluster address of a Service."""
    with suppress(ValueError):
        address = ip_address(text)
        if not (address.is_unspecified or address.is_loopback or address.is_multicast):
            return address
    return None
