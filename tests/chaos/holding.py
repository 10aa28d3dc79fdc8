"""Leases as their holders know them: none may live beside another that it excludes, and none may end before its time."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.history import Call, Told, Violation
from tests.chaos.story import ENDS, WRITES, Story
from worker_client.contract.specs import DIRECTORYLESS


class Hold:
    """A lease that lives for certain from `since`, when its holder heard of it, to `until`: so long after it *asked* for it."""

    def __init__(self, task: dict[str, Any], call: Call, asked: float) -> None:
        self.task_id: int = task["id"]
        self.lease: str = task["lease"]
        self.number: int = task["lease_no"]
        self.path: str = task["work_directory"]
        self.host: str = call.args.get("host") or ""
        self.exclusive = bool(task["exclusive"] or call.args.get("exclusive"))
        self.alone = task["kind"] in DIRECTORYLESS
        self.asked = asked
        self.since = call.ended or 0.0
        self.lasts: float = call.args["lease_seconds"]
        self.ends_by = asked + task["timeout_seconds"]
        self.until = min(asked + min(self.lasts, call.args.get("confirm_seconds") or self.lasts), self.ends_by)
        self.call = call

    def excludes(self, other: "Hold") -> bool:
        if self.alone or other.alone or not (self.exclusive or other.exclusive):
            return False
        if self.host and other.host and self.host != other.host:
            return False
        short, long = sorted((self.path.rstrip("/") + "/", other.path.rstrip("/") + "/"), key=len)
        return long.startswith(short)


class Holding:
    """Which leases live now. `stories` are those of the checker; `slack`: s by which the clocks of servers may differ."""

    def __init__(self, stories: Mapping[int, Story], slack: float) -> None:
        self._slack = slack
        self._stories = stories
        self.live: dict[str, Hold] = {}
        self._ending: dict[int, Hold] = {}
        self._polls: dict[str, tuple[str, float]] = {}
        self._given: dict[int, dict[int, tuple[str, str, str | None]]] = {}

    def asked(self, call: Call) -> float:
        """When a poll was first sent."""
        return self._polls[call.who][1] if call.args.get("poll_id") else call.sent

    def forget(self, task_id: int) -> None:
        """Nothing more is to come for a task."""
        self._given.pop(task_id, None)

    def sent(self, call: Call) -> None:
        """From here on a lease may be over, whenever the answer comes."""
        if call.op == "claim" and (poll := call.args.get("poll_id")) and self._polls.get(call.who, ("",))[0] != poll:
            self._polls[call.who] = poll, call.sent
        if call.op in ENDS and (hold := self.live.pop(call.lease or "", None)):
            self._ending[call.number] = hold

    def ended(self, call: Call) -> Iterator[Violation]:
        """An answer about leases."""
        hold = self._ending.pop(call.number, None)
        if call.op == "claim" and call.outcome == "ok":
            for task in call.data or ():
                yield from self._begun(task, call)
        elif call.op in WRITES and call.lease is not None and call.task_id in self._stories:
            yield from self._written(call, hold)

    def _written(self, call: Call, hold: Hold | None) -> Iterator[Violation]:
        assert call.ended is not None
        assert call.lease is not None
        number = int(call.lease.split(".")[1])
        story = self._stories[call.task_id]
        live = self.live.get(call.lease)
        if call.outcome == "ok":
            if story.is_over(number, call.sent):
                words = f"{call.op} with lease {number} of task {call.task_id} was accepted after that had ended"
                yield Violation("stale", words, (call, story.over, *story.calls))
            if call.op in ENDS:
                story.over.setdefault(number, call.ended)
            elif live is not None:
                live.until = max(live.until, min(call.sent + live.lasts, live.ends_by) - self._slack)
        elif call.outcome == "refused" and call.status == 409 and not call.applied:
            held = hold or live
            if held is not None and call.ended < held.until:
                left = held.until - call.ended
                yield Violation("lease", f"lease {number} of task {call.task_id} was lost {left:.2f} s before its end",
                                (call, held.call, *story.steps))  # fmt: skip

    def _begun(self, task: dict[str, Any], call: Call) -> Iterator[Violation]:
        story, now = self._stories[task["id"]], call.ended or 0.0
        poll = call.args.get("poll_id")
        asked = self.asked(call)
        hold = Hold(task, call, asked)
        hold.until -= self._slack
        given = self._given.setdefault(hold.task_id, {})
        me = (hold.lease, call.who, poll)
        if (before := given.get(hold.number)) is not None:
            if before != me or poll is None:
                yield Violation("two", f"lease {hold.number} of task {hold.task_id} was given twice", (before, call))
            return
        given[hold.number] = me
        if story.is_over(hold.number, asked):
            yield Violation(
                "lease_no", f"task {hold.task_id} was given with lease {hold.number}, which was over", (call, story.over)
            )
        story.newer(hold.number, now)
        self._prune(now)
        if hold.until <= now:
            return
        for other in self.live.values():
            if other.task_id == hold.task_id:
                yield Violation("two", f"task {hold.task_id} has two live leases", (other.call, call))
            elif hold.excludes(other):
                words = f"tasks {other.task_id} in {other.path} and {hold.task_id} in {hold.path} are worked on at once"
                yield Violation("overlap", words, (other.call, call))
        self.live[hold.lease] = hold

    def _prune(self, now: float) -> None:
        for lease in [lease for lease, hold in self.live.items() if hold.until <= now]:
            del self.live[lease]

    def told(self, event: Told, number: int) -> Iterator[Violation]:
        """The server ended a lease by itself; `number`: which."""
        if event.type not in {"task.expired", "task.undelivered"}:
            return
        for hold in self.live.values():
            if (hold.task_id, hold.number) == (event.task_id, number) and event.at < hold.until:
                left = hold.until - event.at
                yield Violation("lease", f"lease {number} of task {event.task_id} {event.type[5:]} {left:.2f} s before its end",
                                (hold.call, event))  # fmt: skip
