"""Which addresses a task may have its worker connect to: public ones, and those that the worker was told to allow."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from worker_client.errors import ConfigurationError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
EVERYWHERE: Final = "all"
_PUBLIC_V6: Final = ipaddress.ip_network("2000::/3")
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
_OF_CLOUDS: Final = tuple(map(ipaddress.ip_network, ("168.63.129.16", "192.0.0.0/24")))
"""Public to some versions of Python, but what answers there is the cloud that the machine is in."""


class AddressRefused(Exception):
    """A task named an address that its worker must not connect to."""


class Unresolved(Exception):
    """There is no address of this name."""


class Reach:
    """`allowed`: networks that may be connected to besides public addresses, such as 10.0.0.0/8; or "all"."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        named = list(allowed)
        self.everywhere = EVERYWHERE in named
        try:
            self._networks = [ipaddress.ip_network(name) for name in named if name != EVERYWHERE]
        except ValueError as error:
            raise ConfigurationError(
                f"{error}; allowed addresses are networks such as 10.0.0.0/8 or 192.168.1.7, or {EVERYWHERE}"
            ) from None

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to for a name or a number in any notation; raises AddressRefused, Unresolved."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unresolved(f"{host} can't be resolved: {error}") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        within = [address for address in addresses if self.includes(address)]
        if not within:
            raise AddressRefused(
                f"{host} is {', '.join(addresses)}: no public address; "
                "the worker connects to it only when started with --allow-private-addresses"
            )
        return within

    def includes(self, address: str) -> bool:
        """Whether it may be connected to."""
        try:
            number = ipaddress.ip_address(address)
        except ValueError:
            return False
        forms = _forms(number)
        return self.everywhere or all(_is_public(form) or self._is_allowed(form) for form in forms)

    def _is_allowed(self, address: Address) -> bool:
        plain = ipaddress.ip_address(int(address)) if isinstance(address, ipaddress.IPv6Address) and address.scope_id else address
        return any(plain.version == network.version and plain in network for network in self._networks)


def _forms(address: Address) -> list[Address]:
    """What the address stands for: one of IPv4 may be inside one of IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _TRANSLATED:
        return [ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)]
    return [address]


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (address not in _PUBLIC_V6 or address.sixtofour or address.teredo):
        return False
    if any(address in network for network in _OF_CLOUDS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
