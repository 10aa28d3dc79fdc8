"""Loads what rules ask of small tables, and of what is linked with their rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.domain.notification_records import Brief, Heard
from orchestrator.domain.record import Record
from orchestrator.domain.records import Linked, R, Under
from orchestrator.store.rows import Row, record_of
from orchestrator.store.saving_records import RecordKey
from orchestrator.store.session import Session
from worker_client.contract.enums import Status


class RecordLoading:
    """The part of a transaction that knows records."""

    def __init__(self, session: Session, queries: Mapping[str, str]) -> None:
        self._session = session
        self._sql = queries
        self._records: dict[RecordKey, Record] = {}

    def _ask(self, name: str, *params: Any) -> Callable[[], list[Row]]:
        return self._session.ask(self._sql[name], *params)

    def _fetch(self, name: str, *params: Any) -> list[Row]:
        return self._session.fetch(self._sql[name], *params)

    def record(self, of: type[R], key: tuple[Any, ...]) -> R | None:
        """A row by its key."""
        return next(iter(self.records(of, f"load_{of.TABLE}", key)), None)

    def records(self, of: type[R], query: str, params: tuple[Any, ...]) -> list[R]:
        """The rows of a named query; a list among the parameters is one of ids or names."""
        given = [self._session.listed(one) if isinstance(one, list | tuple | set) else one for one in params]
        found = [record_of(of, row) for row in self._fetch(query, *given)]
        for record in found:
            self._records.setdefault((of, record.identity), record)
        return found

    def record_id(self, of: type[Record]) -> int:
        """The id of a row to be."""
        return self._session.record_id(of.TABLE)

    def linked(self, after: int, limit: int) -> list[Linked]:
        """Events after one, in order, that are about tasks of runs or schedules."""
        return [Linked(*row) for row in self._fetch("linked_events", after, limit)]

    def awaited(self, run_id: int) -> list[tuple[int, str, bool]]:
        """(id, step, asked to stop) of the tasks of a run that have not ended."""
        return [(task_id, step_id or "", bool(stopping)) for task_id, step_id, stopping in self._fetch("awaited", run_id)]

    def statuses(self, ids: Iterable[int]) -> dict[int, Status]:
        """How tasks stand."""
        return {task_id: Status(status) for task_id, status in self._fetch("statuses", self._session.listed(ids))}

    def result_sizes(self, ids: Iterable[int]) -> dict[int, int]:
        """The characters of results."""
        rows: list[Any] = self._fetch("result_sizes", self._session.listed(ids))
        return dict(rows)

    def results(self, ids: Iterable[int]) -> dict[int, str]:
        """The results of tasks."""
        rows: list[Any] = self._fetch("results", self._session.listed(ids))
        return dict(rows)

    def scheduling(self) -> bool:
        """Whether schedules fire at all."""
        rows = self._fetch("get_meta", "scheduler")
        return not rows or rows[0][0] != "stopped"

    def under_way(self, schedules: Sequence[int]) -> list[Under]:
        """What schedules have created that has not ended."""
        listed = self._session.listed(schedules)
        return [Under(*row) for row in self._fetch("under_way", listed) + self._fetch("runs_under_way", listed)]

    def run_statuses(self, ids: Iterable[int]) -> dict[int, str]:
        """How runs stand."""
        rows: list[Any] = self._fetch("run_statuses", self._session.listed(ids))
        return dict(rows)

    def last_event(self) -> int:
        """The id of the last event of the feed."""
        return int(self._fetch("last_event")[0][0])

    def heard(self, after: int, limit: int) -> list[Heard]:
        """Events after one, in order."""
        return [Heard(*row) for row in self._fetch("heard_events", after, limit)]

    def briefs(self, ids: Iterable[int]) -> list[Brief]:
        """What is told of tasks."""
        return [Brief(*row) for row in self._fetch("briefs", self._session.listed(ids))]
