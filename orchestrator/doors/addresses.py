"""From where one may ask: the lists of addresses, and who in front of the server is believed about them."""

from collections.abc import Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from orchestrator.domain.credential import Entry
from orchestrator.networks import Networks, address
from worker_client.contract.enums import AddressList
from worker_client.errors import Forbidden

_REMEMBERED: Final = 10_000
_SCHEMES: Final = {b"http": "http", b"https": "https"}


class Addresses:
    """Refuses who is on a list `deny`, and when there is a list `allow`, who is not on it; the lists are swapped whole.

    `proxies` are believed about where a request comes from; all of them addresses or networks. Raises ValueError for others.
    """

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = (), proxies: Iterable[str] = ()) -> None:
        self._entries: tuple[Entry, ...] = ()
        self.configure(allow, deny, proxies)

    def configure(self, allow: Iterable[str], deny: Iterable[str], proxies: Iterable[str] = ()) -> None:
        """Take the settings' lists."""
        self._allow, self._deny = tuple(allow), tuple(deny)
        trusted = Networks(proxies)
        self._trusts = lru_cache(_REMEMBERED)(lambda one: address(one) in trusted) if trusted else None
        self._compiled()

    def replace(self, entries: Iterable[Entry]) -> None:
        """Take the database's lists."""
        self._entries = tuple(entries)
        self._compiled()

    def refused(self, asking: str | None) -> Forbidden | None:
        """Why an address gets no answer; None: it may have one. Unknown addresses are on no list."""
        why = self._judged(asking)
        return None if why is None else Forbidden(why, address=asking)

    def client(self, scope: MutableMapping[str, Any]) -> str | None:
        """The address that asks.

        Behind trusted proxies it is the last that none of them has: what stands before it anybody can write. Then `client` and
        `scheme` of the scope are set to what they told.
        """
        peer = scope["client"]
        asking: str | None = None if peer is None else peer[0]
        if self._trusts is None or asking is None or not self._trusts(asking):
            return asking
        told: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                told += value.split(b",")
            elif name == b"x-forwarded-proto":
                # Of several, the one that the nearest proxy wrote.
                scope["scheme"] = _SCHEMES.get(value.rpartition(b",")[2].strip().lower(), scope["scheme"])
        for hop in reversed([hop.strip() for hop in told if hop.strip()]):
            asking = str(address(_without_port(hop.decode("latin-1"))) or "unknown")
            if not self._trusts(asking):
                break
        scope["client"] = (asking, 0)
        return asking

    def _compiled(self) -> None:
        allow = Networks([*self._allow, *(one.network for one in self._entries if one.list == AddressList.ALLOW)])
        deny = Networks([*self._deny, *(one.network for one in self._entries if one.list == AddressList.DENY)])

        def judged(asking: str | None) -> str | None:
            found = None if asking is None else address(asking)
            if found in deny:
                return f"{asking} is on the blacklist of this server"
            if allow and found not in allow:
                return f"{asking or 'an unknown address'} is not on the whitelist of this server"
            return None

        self._judged: Callable[[str | None], str | None] = lru_cache(_REMEMBERED)(judged)


def _without_port(hop: str) -> str:
    """Proxies write 192.0.2.1, 192.0.2.1:80, 2001:db8::1 or [2001:db8::1]:80."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
