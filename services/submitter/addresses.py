"""Decides which network addresses a page may reach: the public ones, and origins named by configuration.

A name is judged by what it resolves to, and the caller connects to exactly the addresses judged here:
judging the name and resolving it again to connect would let a second answer of the name server through.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

RESOLVE_SECONDS: Final = 5.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class AddressRefused(Exception):
    """The address is not a public one, and no configuration allows it."""


class NameUnknown(Exception):
    """The name does not resolve."""


def origin_of(url: str) -> str:
    """Reduce an address to `scheme://host:port`, lower case, port always written."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    port = parts.port or _DEFAULT_PORTS.get(scheme, 0)
    return f"{scheme}://{(parts.hostname or '').lower()}:{port}"


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What may be reached beside the public network.

    `allowed_origins` are the sandbox's ("http://127.0.0.1:8080"); the production profile names none.
    """

    allowed_origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *origins: str) -> AddressRules:
        """Build rules from origins as people write them."""
        return cls(frozenset(origin_of(each) for each in origins))

    def allows_host(self, host: str, port: int) -> bool:
        """Whether configuration names this host and port, with whatever scheme."""
        return any(origin.endswith(f"://{host.lower()}:{port}") for origin in self.allowed_origins)

    async def resolve(self, host: str, port: int) -> str:
        """Give the one address to connect to. Errors: AddressRefused, NameUnknown."""
        found = await _look_up(host, port)
        if self.allows_host(host, port):
            return found[0]
        for address in found:
            if not _is_public(address):
                raise AddressRefused(f"{host} is not on the public network")
        return found[0]


async def _look_up(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise NameUnknown(f"{host} does not resolve") from error
    return [str(row[4][0]) for row in rows]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None and not inner.is_global:
            return False
        if address in _NAT64 and not ipaddress.IPv4Address(int(address) & 0xFFFFFFFF).is_global:
            return False
    return address.is_global and not address.is_multicast


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
