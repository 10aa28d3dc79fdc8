"""Addresses and networks, IPv4 and IPv6, as lists of them take them."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_MAPPED: Final = 96
"""Bits that come before the IPv4 address in an IPv6 one that stands for it, ::ffff:192.0.2.1."""


def network(text: str) -> IPv4Network | IPv6Network:
    """The network that an address or CIDR names; `10.1.2.3/8` is all of 10.0.0.0/8. Raises ValueError."""
    try:
        # A zone means something on one machine only.
        found = ip_network("" if "%" in text else text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address or network: expected such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32") from None
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    if mapped is None or found.prefixlen < _MAPPED:
        return found
    return IPv4Network((mapped, found.prefixlen - _MAPPED))


def address(text: str) -> IPv4Address | IPv6Address | None:
    """An address without its zone; what stands for an IPv4 one is that one. None for anything else."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


@lru_cache(10_000)
def neighbourhood(text: str) -> str:
    """What to count an address as: whoever has one IPv6 address has all 2**64 of its network."""
    found = address(text)
    return text if found is None or found.version == 4 else str(IPv6Network((found, 64), strict=False))


class Networks:
    """A set of networks; asking costs as many steps as there are lengths of prefixes, however many networks."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._bases: dict[tuple[int, int], set[int]] = {}
        for text in texts:
            found = network(text)
            self._bases.setdefault((found.version, int(found.netmask)), set()).add(int(found.network_address))

    def __bool__(self) -> bool:
        return bool(self._bases)

    def __contains__(self, asked: IPv4Address | IPv6Address | None) -> bool:
        if asked is None:
            return False
        number = int(asked)
        return any(asked.version == version and number & mask in bases for (version, mask), bases in self._bases.items())
