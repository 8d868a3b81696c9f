"""Which addresses may be connected to on somebody else's word (server-side request forgery)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def lookup(host: str) -> list[str]:
    """Return every address of ``host``, in the system's order. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def permitted(addresses: Iterable[str], allowed: Iterable[Network] = ()) -> list[str]:
    """Return ``addresses`` if every one of them is public or in ``allowed``; else an empty list.

    One bad address refuses all: a name that resolves to both is how a check is passed with one and the connection
    made to the other.
    """
    found, networks = list(addresses), list(allowed)
    return found if all(_permitted(one, networks) for one in found) else []


def _permitted(text: str, allowed: list[Network]) -> bool:
    try:
        address = _inner(ipaddress.ip_address(text))
    except ValueError:
        return False  # a scoped address (fe80::1%eth0), or no address
    if any(address.version == network.version and address in network for network in allowed):
        return True
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4), as the network would."""
    if address.version == 4:
        return address
    inside = address.ipv4_mapped or address.sixtofour
    if inside is None and address in _NAT64:
        inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inside or address
