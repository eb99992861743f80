"""Where a host name leads, and whether a program may go there unasked. No library beside Python's own."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host name. Raises OSError."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system knows them, best first. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address lies in the open Internet, whatever form it is written in."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def is_address(host: str) -> bool:
    """Whether a host is written as an address, and not as a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is written as an address of this machine."""
    return is_address(host) and ipaddress.ip_address(host).is_loopback
