"""The queue as it stands: directories, who holds what, what is in a task's way."""

import json
from typing import Final, NamedTuple

from msgspec import Struct

from orchestrator.domain.budgets import Spent, daily, day_of, usd
from orchestrator.domain.leasing import lease_mode
from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.paths import ancestors, span
from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import DirectorySetting, Head, LeaseMode, Millis
from orchestrator.store.reads.conditions import NEVER, Condition, all_of, asked, within
from orchestrator.store.reads.values import COUNTED, Listing, Reading, total_of
from orchestrator.store.rows import setting_of
from worker_client.contract.directories import Directory, ListDirectories
from worker_client.contract.enums import Status
from worker_client.contract.workers import Holding

_MOST_HELD: Final = 10_000
_MOST_OBSTACLES: Final = 20


class Held(NamedTuple):
    """A live lease and whose it is."""

    worker_id: str
    host: str
    account: str | None
    holding: Holding


class Parent(NamedTuple):
    """A task that another waits for; status and path are None when it is gone."""

    task_id: int
    status: Status | None
    path: str | None


class Overlap(NamedTuple):
    """A live lease on, above or below a directory."""

    task_id: int
    path: str
    host: str
    exclusive: bool
    ends_at: Millis


class Bound(NamedTuple):
    """A setting over a directory, how many tasks run under it, and what was used there today, if it has a budget."""

    setting: DirectorySetting
    running: int
    spent: Spent


class Obstacles(Struct, frozen=True):
    """Facts that may keep a task from running; up to 20 of each. `leases`: only those that exclude the task's own lease."""

    parents: list[Parent]
    leases: list[Overlap]
    bounds: list[Bound]


class QueueReads(Reading):
    """Queries for directories and leases."""

    async def directories(self, query: ListDirectories, visible: PathScope) -> Listing[Directory]:
        """A page of directories that have tasks or settings, by path; the work path must be canonical."""
        patterns = asked(None if query.work_path is None else [query.work_path], recursive=query.recursive)
        known = _known(all_of([within(patterns, "path"), within(visible.patterns, "path")]))
        ((counted,),) = await self._fetch(f"SELECT count(*) FROM ({known.sql} LIMIT {COUNTED + 1}) AS counted", known.params)
        total, exact = total_of(counted)
        return Listing(items=await self._directories(known, query.limit, query.offset), total=total, total_exact=exact)

    async def directory(self, path: str, host: str, visible: PathScope) -> Directory | None:
        """One directory; None when it has neither tasks nor settings, or cannot be seen."""
        one = Condition("path = ? AND host = ?", (path, host))
        found = await self._directories(_known(all_of([one, within(visible.patterns, "path")])), 1, 0)
        return found[0] if found else None

    async def _directories(self, known: Condition, limit: int, offset: int) -> list[Directory]:
        rows = await self._fetch(
            "SELECT k.path, k.host, d.paused, d.reason, d.max_running, d.updated_at, d.daily_tokens, d.daily_micros,"
            " d.daily_attempts, c.status, c.n"
            f" FROM ({known.sql} ORDER BY path, host LIMIT ? OFFSET ?) k"
            " LEFT JOIN directories d ON d.path = k.path AND d.host = k.host"
            " LEFT JOIN task_counts c ON c.path = k.path AND c.host = k.host AND c.n > 0 ORDER BY k.path, k.host, c.status",
            (*known.params, limit, offset),
        )
        found: dict[tuple[str, str], Directory] = {}
        for path, host, paused, reason, most, updated_at, tokens, micros, attempts, status, n in rows:
            directory = found.setdefault(
                (path, host),
                Directory(
                    work_directory=path,
                    host=host,
                    paused=bool(paused),
                    reason=reason,
                    max_running=most,
                    by_status={},
                    updated_at=perhaps(updated_at),
                    daily_tokens=tokens,
                    daily_cost_usd=None if micros is None else usd(micros),
                    daily_attempts=attempts,
                ),
            )
            if status is not None:
                directory.by_status[status] = directory.by_status.get(status, 0) + n
        return list(found.values())

    async def holdings(self, visible: PathScope) -> list[Held]:
        """Live leases by worker, then task; the first 10,000."""
        scope = within(visible.patterns, "path")
        if scope == NEVER:
            return []
        using = self._dialect.using.format("tasks_expiring")
        rows = await self._fetch(
            "SELECT worker_id, lease_host, account, id, title, path, attempt, lease_mode, started_at, lease_ends_at"
            f" FROM tasks {using} WHERE status = 'running' AND {scope.sql} ORDER BY worker_id, id LIMIT ?",
            (*scope.params, _MOST_HELD),
        )
        return [
            Held(
                worker_id,
                host or "",
                account,
                Holding(
                    task_id=task_id,
                    title=title,
                    work_directory=path,
                    attempt=attempt,
                    exclusive=mode == LeaseMode.EXCLUSIVE,
                    started_at=moment(started_at),
                    lease_expires_at=moment(ends_at),
                ),
            )
            for worker_id, host, account, task_id, title, path, attempt, mode, started_at, ends_at in rows
        ]

    async def obstacles(self, head: Head, now: Millis) -> Obstacles:
        """What may be in a task's way besides its own hold and due time; also outside of what the asker may see."""
        return Obstacles(await self._parents(head), await self._leases(head), await self._bounds(head, now))

    async def running(self) -> int:
        """How many tasks run, everywhere."""
        ((found,),) = await self._fetch(self._sql["running_everywhere"], ())
        return int(found)

    async def _parents(self, head: Head) -> list[Parent]:
        if not head.has_parents:
            return []
        rows = await self._fetch(self._sql["open_parents"], (head.id, _MOST_OBSTACLES))
        return [Parent(parent, None if status is None else Status(status), path) for parent, status, path in rows]

    async def _leases(self, head: Head) -> list[Overlap]:
        mode = lease_mode(head, exclusive=False)
        if mode == LeaseMode.NONE:
            return []
        name = "overlapping_leases" if mode == LeaseMode.EXCLUSIVE else "overlapping_exclusive"
        params = (json.dumps(ancestors(head.path)), *span(head.path), head.host, head.id, _MOST_OBSTACLES)
        return [
            Overlap(task_id, path, host or "", held == LeaseMode.EXCLUSIVE, ends_at)
            for task_id, path, host, held, ends_at in await self._fetch(self._sql[name], params)
        ]

    async def _bounds(self, head: Head, now: Millis) -> list[Bound]:
        rows = await self._fetch(self._sql["settings_over"], (json.dumps(ancestors(head.path)), head.host))
        bounds = []
        for setting in map(setting_of, rows[:_MOST_OBSTACLES]):
            path, host = setting.path, setting.host
            ((running,),) = await self._fetch(self._sql["running_at"], (path, *span(path), host))
            spent = Spent()
            if daily(setting):
                (sums,) = await self._fetch(self._sql["spent_at"], (day_of(now), path, *span(path), host))
                spent = Spent(*map(int, sums))
            bounds.append(Bound(setting, running, spent))
        return bounds


def _known(where: Condition) -> Condition:
    """The directories that have tasks or settings."""
    return Condition(
        f"SELECT path, host FROM task_counts WHERE n > 0 AND {where.sql}"
        f" UNION SELECT path, host FROM directories WHERE {where.sql}",
        where.params * 2,
    )
