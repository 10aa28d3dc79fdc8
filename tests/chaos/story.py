"""All that is known of one task: who asked what of it, what the feed told, and whether that fits what the database holds."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from orchestrator.domain.lifecycle import TRANSITIONS, Verb
from tests.chaos.history import Call, Told, Violation
from worker_client.contract.enums import FINAL, Status

ENDS: Final = {"complete": "completed", "fail": "failed", "release": "released", "park": "parked"}
"""Writes that end a lease, and the outcome of the attempt."""
WRITES: Final = {*ENDS, "heartbeat"}
FREE: Final = {"released", "parked", "undelivered"}
"""Ends of a lease that cost no attempt."""
_VERBS: Final[dict[str, tuple[Verb, ...]]] = {
    "claimed": (Verb.CLAIM,),
    "completed": (Verb.COMPLETE,),
    "failed": (Verb.FAIL,),
    "expired": (Verb.EXPIRE,),
    "released": (Verb.RELEASE,),
    "parked": (Verb.PARK,),
    "undelivered": (Verb.UNDELIVER,),
    "cancelled": (Verb.CANCEL, Verb.ORPHAN, Verb.FAIL, Verb.EXPIRE, Verb.RELEASE, Verb.PARK, Verb.UNDELIVER),
    "cancel_requested": (Verb.CANCEL,),
    "ready": (Verb.PROMOTE,),
    "unblocked": (Verb.SATISFY,),
    "revived": (Verb.REVIVE,),
    "answered": (Verb.ANSWER,),
    "approved": (Verb.APPROVE,),
    "rejected": (Verb.REJECT,),
    "retried": (Verb.RETRY,),
    "executed": (Verb.EXECUTE,),
    "updated": (Verb.UPDATE,),
}
_BY_CALL: Final = {"cancel": {"cancelled", "cancel_requested"}, "retry": {"retried"}, "execute": {"executed"},
                   "answer": {"answered"}, "approve": {"approved"}, "update": {"updated"}}  # fmt: skip
"""Which events tell of a write that needs no lease."""


class Step(Struct, frozen=True):
    """An event of one task; `kind` is its type without `task.`."""

    id: int
    kind: str
    status: str
    data: dict[str, Any]

    def follows(self, before: str | None) -> bool:
        """Whether the lifecycle allows it from a status."""
        if before is None:
            return self.kind == "created"
        allowed = {to for verb in _VERBS.get(self.kind, ()) for to in TRANSITIONS[verb].get(Status(before), ())}
        return self.status in allowed


class Facts(Struct, frozen=True):
    """What the database holds of a task: columns of its row, its events, and (lease_no, attempt, outcome) of its attempts."""

    id: int
    row: dict[str, Any] | None
    steps: list[Step]
    attempts: list[tuple[int, int, str]]


class Story:
    """One task. Times are monotonic seconds, `ready_at` is the server's time in ms."""

    def __init__(self, task_id: int) -> None:
        self.id = task_id
        self.spec: dict[str, Any] | None = None
        self.acknowledged: float | None = None
        self.steps: list[Step] = []
        self.status: str | None = None
        self.lease_no = 0
        self.used = 0
        self.told_at = 0.0
        self.calls: list[Call] = []
        self.open: dict[int, Call] = {}
        self.spans: list[tuple[float, float]] = []
        """When calls that name it were under way; those whose outcome is unknown may still be."""
        self.over: dict[int, float] = {}
        """When it was known first that a lease had ended."""
        self.last = 0.0
        self.born: float | None = None
        """It cannot have been there before: when the call that made it was sent."""
        self.gone: float | None = None
        """Since when whoever has its lease has been gone, if that was before it was there."""

    def is_over(self, lease_no: int, at: float) -> bool:
        """Whether it was known before a moment that a lease had ended."""
        return any(number >= lease_no and known < at for number, known in self.over.items())

    def newer(self, lease_no: int, at: float) -> None:
        """There is this lease: all before it are over."""
        if lease_no > 1:
            self.over.setdefault(lease_no - 1, at)

    def told(self, event: Told) -> Iterator[Violation]:
        """The next event of the feed."""
        step = Step(event.id, event.type.removeprefix("task."), event.status or "", event.data)
        before = self.status
        self.steps.append(step)
        self.status, self.told_at, self.last = step.status, event.at, event.at
        if not step.follows(before):
            yield Violation("lifecycle", f"task {self.id} was {before} and then {step.kind}, {step.status}", tuple(self.steps))
        if step.kind == "claimed":
            yield from self._claimed(step, event.at)
        elif before == "running" and step.kind != "cancel_requested":
            self.over.setdefault(self.lease_no, event.at)
            self.used -= step.kind in FREE
        elif step.kind == "retried":
            self.used = 0

    def _claimed(self, step: Step, at: float) -> Iterator[Violation]:
        self.used += 1
        if step.data.get("lease_no") != self.lease_no + 1:
            yield Violation("lease_no", f"lease {self.lease_no} of task {self.id} was followed by {step.data}", tuple(self.steps))
        if step.data.get("attempt") != self.used:
            yield Violation("attempts", f"{self.used} attempts of task {self.id} were begun, but it says {step.data}",
                            tuple(self.steps))  # fmt: skip
        self.lease_no = int(step.data.get("lease_no") or 0)
        self.newer(self.lease_no, at)

    def untouched(self, begin: float, end: float) -> bool:
        """Whether nobody asked anything of it from one moment to another."""
        spans = [*self.spans, *((call.sent, end) for call in self.open.values())]
        return all(last < begin or first > end for first, last in spans)

    def settled(self, now: float, quiet: float) -> bool:
        """Whether it has ended, and nothing more is to come for all that is known."""
        return self.status in FINAL and not self.open and now - self.last > quiet


def verify(story: Story, facts: Facts) -> Iterator[Violation]:
    """What was acknowledged is there, what is there was asked for, and the tables agree with the events."""
    if facts.row is None:
        if story.acknowledged is not None:
            yield Violation("lost", f"task {story.id} was acknowledged and is not there", tuple(story.calls))
        return
    yield from _consistent(facts)
    ends = _ends(facts.steps)
    by_lease: dict[int, list[Call]] = {}
    for call in story.calls:
        if call.lease is not None and call.op in ENDS:
            by_lease.setdefault(int(call.lease.split(".")[1]), []).append(call)
    for number, calls in by_lease.items():
        yield from _ended_as_told(story, number, ends.get(number, "running"), calls)
    for number, end in ends.items():
        if end in {"completed", "failed"} and not any(ENDS[call.op] == end for call in by_lease.get(number, ())):
            yield Violation(
                "unasked", f"lease {number} of task {story.id} was {end}, and nobody asked for it", tuple(facts.steps)
            )
    yield from _asked(story, facts)


def _ended_as_told(story: Story, number: int, end: str, calls: list[Call]) -> Iterator[Violation]:
    applied = [call for call in calls if call.applied]
    if len([call for call in calls if call.outcome == "ok"]) > 1:
        yield Violation("doubled", f"lease {number} of task {story.id} was ended twice", tuple(calls))
    for call in applied:
        # Whoever was to be cancelled is, however its attempt ended.
        if end != ENDS[call.op] and not (end == "cancelled" and call.op != "complete"):
            yield Violation(
                "lost", f"{call.op} of lease {number} of task {story.id} was acknowledged, but it {end}", tuple(calls)
            )


def _asked(story: Story, facts: Facts) -> Iterator[Violation]:
    """Writes without a lease: as many as were acknowledged, and no more than were asked for."""
    told = Counter(step.kind for step in facts.steps)
    told["cancelled"] -= sum(_by_cascade(step) for step in facts.steps)
    for op, kinds in _BY_CALL.items():
        calls = [call for call in story.calls if call.op == op]
        there = sum(told[kind] for kind in kinds)
        # To cancel what is to be cancelled already is acknowledged, too.
        least = bool(calls and any(call.applied for call in calls)) if op == "cancel" else sum(call.applied for call in calls)
        if there < least:
            yield Violation("lost", f"{op} of task {story.id} was acknowledged {least} times, took place {there} times",
                            tuple(calls))  # fmt: skip
        if op != "cancel" and there > len(calls):
            yield Violation("unasked", f"{op} of task {story.id} took place {there} times, asked for {len(calls)} times",
                            tuple(calls))  # fmt: skip


def _by_cascade(step: Step) -> bool:
    return step.kind == "cancelled" and step.data.get("reason") == "dependency_failed"


def _ends(steps: Iterable[Step]) -> dict[int, str]:
    """How each lease ended."""
    ends: dict[int, str] = {}
    number, running = 0, False
    for step in steps:
        if step.kind == "claimed":
            number, running = int(step.data["lease_no"]), True
        elif running and step.kind != "cancel_requested":
            ends[number], running = step.kind, False
    return ends


def _consistent(facts: Facts) -> Iterator[Violation]:
    """The row, the events and the attempts tell the same."""
    row, before, used, number = facts.row or {}, None, 0, 0
    for step in facts.steps:
        if not step.follows(before):
            yield Violation("lifecycle", f"task {facts.id} was {before} and then {step.kind}, {step.status}", tuple(facts.steps))
        used = {"claimed": used + 1, "retried": 0}.get(step.kind, used - (step.kind in FREE))
        number += step.kind == "claimed"
        before = step.status
    if (row["status"], row["lease_no"]) != (before, number):
        yield Violation(
            "events", f"task {facts.id} is {row}, but its events end {before} with lease {number}", tuple(facts.steps)
        )
    if row["version"] < len(facts.steps):
        words = f"task {facts.id} is at version {row['version']} after {len(facts.steps)} changes: some were made of the same one"
        yield Violation("version", words, tuple(facts.steps))
    ends = _ends(facts.steps)
    if row["attempt"] != used and before != "cancelled":
        yield Violation("attempts", f"task {facts.id} counts {row['attempt']} attempts, its events {used}", tuple(facts.steps))
    kept = {lease_no: outcome for lease_no, _, outcome in facts.attempts}
    for lease_no, end in ends.items():
        found = kept.pop(lease_no, "undelivered")
        if end not in {found, "cancelled"}:
            yield Violation("attempts", f"lease {lease_no} of task {facts.id} {end}, its attempt {found}", tuple(facts.steps))
    if kept:
        yield Violation("attempts", f"task {facts.id} has attempts that never were: {kept}", tuple(facts.steps))
