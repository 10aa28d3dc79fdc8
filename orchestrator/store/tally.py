"""What a transaction adds to the rollups, so that statistics never scan tasks."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from orchestrator.domain.budgets import day_of
from orchestrator.domain.outcomes import UsageCounted
from orchestrator.domain.task import Head, Millis
from orchestrator.store.rollups import bucket
from worker_client.contract.enums import AttemptOutcome, Status

MINUTE: Final = 60_000
HOUR: Final = 3_600_000
_MOST: Final = 2**60
_NOTHING: Final = (0,) * 6
_RATES: Final = ("created", str(Status.COMPLETED), str(Status.FAILED), str(Status.CANCELLED))


class Tally:
    """Counts of one transaction; written as one row per directory, not per task."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str, int]] = Counter()
        self._rates: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._durations: Counter[tuple[int, str, int]] = Counter()
        self._used: dict[tuple[str, ...], list[int]] = {}
        self._tagged: dict[tuple[str, ...], list[int]] = {}

    def moved(self, before: Head | None, after: Head | None) -> None:
        """A task changed its status, directory or priority; None: it was not there, or is gone."""
        if before is not None and after is not None and _place(before) == _place(after):
            return
        if before is not None:
            self._counts[_place(before)] -= 1
        if after is None:
            return
        self._counts[_place(after)] += 1
        if before is None:
            self._rates[after.path]["created"] += 1
        if after.status.final and (before is None or before.status is not after.status):
            self._rates[after.path][str(after.status)] += 1

    def ended(self, head: Head, outcome: AttemptOutcome, ended_at: Millis) -> None:
        """An attempt is over."""
        if outcome is AttemptOutcome.COMPLETED and head.started_at is not None:
            self._durations[ended_at // HOUR, head.path, bucket(ended_at - head.started_at)] += 1

    def used(self, one: UsageCounted) -> None:
        """A lease used something."""
        more = (one.attempts, one.input_tokens, one.output_tokens, one.cached_tokens, one.micros, one.duration_ms)
        _add(self._used, (one.path, one.host, one.model, one.agent), more)
        for tag in one.tags:
            _add(self._tagged, (one.path, tag), more)

    @property
    def empty(self) -> bool:
        """Whether nothing was counted."""
        return not (self._counts or self._rates or self._durations or self._used)

    def rows(self, now: Millis) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
        """The statements to run, by name, with their rows."""
        # Down before up: a row that would fall below zero is a defect, and a CHECK says so.
        yield "count_down", [(*key, n) for key, n in self._counts.items() if n < 0]
        yield "count_up", [(*key, n) for key, n in self._counts.items() if n > 0]
        minute = now // MINUTE
        yield "add_rates", [(minute, path, *(counts[name] for name in _RATES)) for path, counts in self._rates.items()]
        yield "add_durations", [(*key, n) for key, n in self._durations.items()]
        today = day_of(now)
        yield "add_usage", [(today, *key, *sums) for key, sums in self._used.items()]
        yield "add_tag_usage", [(today, *key, *sums) for key, sums in self._tagged.items()]


def _add(sums: dict[tuple[str, ...], list[int]], key: tuple[str, ...], more: Sequence[int]) -> None:
    sums[key] = [min(_MOST, total + n) for total, n in zip(sums.get(key, _NOTHING), more, strict=True)]


def _place(head: Head) -> tuple[str, str, str, int]:
    return head.path, head.host, str(head.status), head.priority
