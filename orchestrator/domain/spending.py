"""What is spent below directories today, as of the operation at hand."""

from orchestrator.domain.budgets import Spent, day_of
from orchestrator.domain.outcomes import UsageCounted
from orchestrator.domain.paths import ancestors
from orchestrator.domain.source import Source
from orchestrator.domain.task import Millis


class Spending:
    """The ledger of the day, loaded where it is asked for, with what this batch has counted laid over it."""

    def __init__(self, source: Source, now: Millis) -> None:
        self._source = source
        self._today = day_of(now)
        self._loaded: dict[tuple[str, str], Spent] = {}
        self._sums: dict[tuple[str, str], Spent] = {}
        self._counted: dict[tuple[int, int], UsageCounted] = {}

    def count(self, change: UsageCounted) -> None:
        """Lay what a lease used over the ledger; to do so twice is harmless."""
        self._counted[change.task_id, change.version] = change
        self._sums.clear()

    def forget(self) -> None:
        """Load anew from now on: others may have written."""
        self._loaded.clear()
        self._sums.clear()

    def below(self, path: str, host: str) -> Spent:
        """What was used today in a directory and below, by who works on a host (empty: on all)."""
        key = (path, host)
        if key not in self._sums:
            self._sums[key] = self._sum(path, host)
        return self._sums[key]

    def _sum(self, path: str, host: str) -> Spent:
        if (path, host) not in self._loaded:
            self._loaded[path, host] = self._source.spent(self._today, path, host)
        found = self._loaded[path, host]
        for one in self._counted.values():
            if path in ancestors(one.path) and (not host or one.host == host):
                found += Spent(one.input_tokens + one.output_tokens, one.micros, one.attempts)
        return found
