"""Where leases stand."""

from orchestrator.domain.paths import ancestors


class Footprint:
    """Directories leased in this batch, so that an overlap is found in as many steps as a path has parts."""

    def __init__(self) -> None:
        self._at: dict[str, set[str]] = {}
        self._below: dict[str, set[str]] = {}

    def add(self, path: str, host: str) -> None:
        """Take a directory on a host (empty: on all)."""
        hosts = self._at.setdefault(path, set())
        if host in hosts:
            return
        hosts.add(host)
        for above in ancestors(path):
            self._below.setdefault(above, set()).add(host)

    def touches(self, path: str, host: str) -> bool:
        """Whether one of them is the path, contains it or lies below it."""
        return self.above(path, host) or _meet(host, self._below.get(path))

    def above(self, path: str, host: str) -> bool:
        """Whether one of them is the path or contains it."""
        return bool(self._at) and any(_meet(host, self._at.get(above)) for above in ancestors(path))


def _meet(host: str, hosts: set[str] | None) -> bool:
    return hosts is not None and (not host or "" in hosts or host in hosts)
