"""Priority within a directory: nobody is given a task while one of lower rank, as good for them, waited there for certain."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from orchestrator.domain.paths import overlap
from tests.chaos.history import Call, Told, Violation
from tests.chaos.story import Story

HEAD_START_MS: Final = {"low": -3_600_000, "normal": 0, "high": 3_600_000, "urgent": 24 * 3_600_000}
_KEEPS: Final = {"released", "undelivered", "parked", "ready", "answered", "claimed", "cancel_requested", "revived"}
"""Events after which a task is as ready as it was before."""
_ENDS: Final = {"completed", "failed", "expired", "released", "parked", "undelivered", "cancelled"}
_NOW: Final = {"unblocked", "approved"}


def millis(moment: str) -> int:
    """Milliseconds since 1970."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


class _Passed(Struct, frozen=True):
    """A task was given, and others of lower rank were not; `freed`: when a lease around it ended last."""

    number: int
    others: list[tuple[Story, float, int]]
    freed: float


class Ranking:
    """Follows the feed; `stories` are those of the checker."""

    def __init__(self, stories: Mapping[int, Story]) -> None:
        self._stories = stories
        self._ready: dict[int, int | None] = {}
        self._waiting: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._passed: dict[int, _Passed] = {}
        self._claims: dict[int, tuple[int, float, Call]] = {}
        self._changed: set[int] = set()
        self._freed: deque[tuple[float, str]] = deque(maxlen=500)
        self.compared = 0

    def forget(self, task_id: int) -> None:
        """Nothing more is to come for a task."""
        for known in (self._ready, self._passed, self._claims):
            known.pop(task_id, None)
        self._changed.discard(task_id)

    def told(self, event: Told) -> Iterator[Violation]:
        """The next event of the feed."""
        kind, task_id = event.type.removeprefix("task."), event.task_id
        if kind == "claimed":
            lower = [
                (other, since, rank)
                for other_id, since in self._waiting[event.path].items()
                if other_id != task_id and (other := self._stories.get(other_id)) and (rank := self._before(other, task_id))
            ]
            freed = max((at for at, path in self._freed if overlap(path, event.path)), default=0.0) if lower else 0.0
            self._passed[task_id] = _Passed(event.data["lease_no"], lower[:5], freed)
            self.compared += bool(lower) or len(self._waiting[event.path]) > 1
            yield from self._judge(task_id)
        elif kind in _ENDS:
            self._freed.append((event.at, event.path))
        self._learn(kind, event)
        if event.status == "waiting":
            self._waiting[event.path].setdefault(task_id, event.at)
        else:
            self._waiting[event.path].pop(task_id, None)

    def _learn(self, kind: str, event: Told) -> None:
        known = self._ready.get(event.task_id)
        if kind in {"failed", "expired"}:
            due = event.data.get("due_at")
            known = due if due is not None else event.since
        elif kind == "retried":
            known = event.since
        elif kind in _NOW:
            known = None if known is None else max(known, event.since)
        elif (kind not in _KEEPS and kind != "created") or (kind == "released" and "due_at" in event.data):
            known = None
        if kind == "updated":
            self._changed.add(event.task_id)
        if kind != "created":
            self._ready[event.task_id] = known

    def created(self, task: dict[str, Any]) -> None:
        """A creator heard of its task; unless more has happened to it since, its rank is known."""
        story = self._stories[task["id"]]
        if all(step.kind == "created" for step in story.steps):
            ready = max(millis(task[name]) for name in ("created_at", "run_at") if task[name])
            self._ready.setdefault(task["id"], ready)

    def _rank(self, story: Story) -> int | None:
        ready = self._ready.get(story.id)
        if ready is None or story.spec is None or story.id in self._changed:
            return None
        return ready - HEAD_START_MS[story.spec["priority"]]

    def _before(self, other: Story, task_id: int) -> int | None:
        """The rank of a task that goes before another and can be had by whoever can have that; None when it does not."""
        story = self._stories.get(task_id)
        if story is None or story.spec is None or other.spec is None:
            return None
        mine, its = self._rank(story), self._rank(other)
        if mine is None or its is None or its >= mine:
            return None
        alike = all(story.spec[name] == other.spec[name] for name in ("kind", "tags", "host", "work_directory"))
        return its if alike and (story.spec["exclusive"] or not other.spec["exclusive"]) else None

    def claimed(self, task: dict[str, Any], call: Call, asked: float) -> Iterator[Violation]:
        """Somebody was given a task that they first asked for at a moment."""
        self._claims[task["id"]] = task["lease_no"], asked, call
        yield from self._judge(task["id"])

    def _judge(self, task_id: int) -> Iterator[Violation]:
        """Both are known: who was passed over, and when the asker asked."""
        passed, claim = self._passed.get(task_id), self._claims.get(task_id)
        if passed is None or claim is None or passed.number != claim[0]:
            return
        _, asked, call = claim
        mine = self._stories[task_id].spec or {}
        for other, since, rank in passed.others:
            known = other.acknowledged
            # Whether a shared lease and whether an exclusive one can be had is looked up one after the other.
            if (other.spec or {})["exclusive"] != mine["exclusive"] and passed.freed > asked:
                continue
            if since < asked and known is not None and known < asked and other.untouched(asked, call.ended or asked):
                yield Violation("rank", f"task {task_id} was given while task {other.id} of rank {rank} waited before it",
                                (call, self._stories[task_id].spec, other.spec, other.steps))  # fmt: skip
        del self._passed[task_id]
