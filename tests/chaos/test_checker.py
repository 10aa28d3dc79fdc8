"""The checker on small histories by hand: a good one, and for every promise one that breaks it."""

from typing import Any

import pytest

from tests.chaos.checker import Checker, check, compare
from tests.chaos.history import Call, Ended, Entry, Sent, Told, Trouble, Violation
from tests.chaos.story import Facts, Step

TASK: dict[str, Any] = {
    "id": 1, "work_directory": "/a", "host": "", "kind": "agent", "tags": [], "priority": "normal", "exclusive": True,
    "created_at": "2026-01-01T00:00:00Z", "run_at": None, "timeout_seconds": 3600, "key": "k",
}  # fmt: skip
START_MS = 1_767_225_600_000


class Script:
    """A history that is written down step by step; every call takes 0.1 s, every event is told at once."""

    def __init__(self) -> None:
        self.at = 100.0
        self.entries: list[Entry] = []
        self.steps: dict[int, list[Step]] = {}
        self._numbers = 0

    def wait(self, seconds: float) -> None:
        self.at += seconds

    def send(self, op: str, *touches: int, lease: str | None = None, who: str = "w", **args: Any) -> Call:
        self._numbers += 1
        call = Call(number=self._numbers, op=op, who=who, sent=self.at, touches=touches, lease=lease, args=args)
        self.entries.append(Sent(call))
        self.at += 0.1
        return call

    def end(self, call: Call, status: int = 200, data: Any = None) -> None:
        call.ended, call.status, call.data = self.at, status, data
        call.outcome = "ok" if status < 300 else "unknown" if status >= 500 and status != 503 else "refused"
        self.entries.append(Ended(call))

    def tell(self, kind: str, status: str, task_id: int = 1, path: str = "/a", **data: Any) -> None:
        number = 1 + sum(isinstance(entry, Told) for entry in self.entries)
        since = START_MS + round(self.at * 1000)
        self.entries.append(Told(self.at, "feed", number, f"task.{kind}", task_id, path, status, data, since))
        self.steps.setdefault(task_id, []).append(Step(number, kind, status, data))

    def create(self, task_id: int = 1, **more: Any) -> None:
        task = TASK | {"id": task_id, "key": f"k{task_id}"} | more
        call = self.send("create", who="c", key=task["key"])
        self.tell("created", "waiting", task_id, task["work_directory"])
        self.end(call, 201, [task])

    def claim(
        self, task_id: int = 1, lease_no: int = 1, attempt: int = 1, *, who: str = "w", told: bool = True, **more: Any
    ) -> str:
        """Lease a task for 5 s."""
        lease = f"{task_id}.{lease_no}.{who}"
        call = self.send("claim", who=who, lease_seconds=5)
        path = more.get("work_directory", "/a")
        if told:
            self.tell("claimed", "running", task_id, path, lease_no=lease_no, attempt=attempt, worker_id=who)
        task = TASK | {"id": task_id, "lease_no": lease_no, "lease": lease} | more
        self.end(call, 200, [task])
        return lease

    def complete(self, lease: str, task_id: int = 1) -> None:
        call = self.send("complete", task_id, lease=lease)
        self.tell("completed", "completed", task_id)
        self.end(call)

    def facts(self, task_id: int = 1, status: str = "completed", **more: Any) -> Facts:
        """What a database holds that agrees with what was told."""
        steps = self.steps[task_id]
        row = {"status": status, "lease_no": 1, "attempt": 1, "version": len(steps), **more}
        return Facts(task_id, row, list(steps), [(1, 1, status)])


@pytest.fixture
def script() -> Script:
    return Script()


def kinds(found: list[Violation]) -> set[str]:
    return {violation.kind for violation in found}


def test_a_good_history_breaks_nothing(script: Script) -> None:
    script.create()
    script.complete(script.claim())
    assert check(script.entries, [script.facts()]) == []


def test_two_live_leases(script: Script) -> None:
    script.create()
    script.claim()
    script.claim(lease_no=2, attempt=2, who="x", told=False)
    assert "two" in kinds(check(script.entries))


def test_one_lease_for_two(script: Script) -> None:
    script.create()
    script.claim()
    script.claim(who="x", told=False)
    assert "two" in kinds(check(script.entries))


@pytest.mark.parametrize(("path", "found"), [("/a", True), ("/a/b", True), ("/", True), ("/ab", False), ("/b", False)])
def test_overlap_of_an_exclusive_lease(script: Script, path: str, *, found: bool) -> None:
    script.create()
    script.create(2, work_directory=path, exclusive=False)
    script.claim()
    script.claim(2, who="x", work_directory=path, exclusive=False)
    assert ("overlap" in kinds(check(script.entries))) is found


@pytest.mark.parametrize("other", [{"host": "h"}, {"kind": "http"}], ids=str)
def test_what_excludes_nobody(script: Script, other: dict[str, Any]) -> None:
    script.create()
    script.create(2, **other)
    call = script.send("claim", lease_seconds=5, host="g")
    script.tell("claimed", "running", 1, lease_no=1, attempt=1, worker_id="w")
    script.end(call, 200, [TASK | {"lease_no": 1, "lease": "1.1.w"}])
    call = script.send("claim", lease_seconds=5, who="x", host="h")
    script.tell("claimed", "running", 2, lease_no=1, attempt=1, worker_id="x")
    script.end(call, 200, [TASK | {"id": 2, "lease_no": 1, "lease": "2.1.x"} | other])
    assert "overlap" not in kinds(check(script.entries))


def test_a_lease_that_ran_out_excludes_nobody(script: Script) -> None:
    script.create()
    script.claim()
    script.wait(5)
    script.tell("expired", "waiting", attempt=1)
    script.claim(lease_no=2, attempt=2, who="x")
    assert not kinds(check(script.entries)) & {"two", "lease", "lease_no"}


def test_a_lease_that_expires_before_its_time(script: Script) -> None:
    script.create()
    script.claim()
    script.wait(3)
    script.tell("expired", "waiting", attempt=1)
    assert "lease" in kinds(check(script.entries))


@pytest.mark.parametrize(("seconds", "found"), [(1, True), (6, False)])
def test_a_live_lease_that_is_refused(script: Script, seconds: float, *, found: bool) -> None:
    script.create()
    lease = script.claim()
    script.wait(seconds)
    script.end(script.send("heartbeat", 1, lease=lease), 409, {"details": {"reason": "expired"}})
    assert ("lease" in kinds(check(script.entries))) is found


def test_a_heartbeat_extends_a_lease(script: Script) -> None:
    script.create()
    lease = script.claim()
    script.wait(3)
    script.end(script.send("heartbeat", 1, lease=lease))
    script.wait(4)
    script.tell("expired", "waiting", attempt=1)
    assert "lease" in kinds(check(script.entries))


def test_a_stale_write_that_is_accepted(script: Script) -> None:
    script.create()
    old = script.claim()
    script.wait(6)
    script.tell("expired", "waiting", attempt=1)
    script.claim(lease_no=2, attempt=2, who="x")
    script.end(script.send("heartbeat", 1, lease=old))
    assert "stale" in kinds(check(script.entries))


def test_a_lease_that_is_ended_twice(script: Script) -> None:
    script.create()
    lease = script.claim()
    one, other = script.send("complete", 1, lease=lease), script.send("complete", 1, lease=lease, who="x")
    script.tell("completed", "completed")
    script.end(one)
    script.end(other)
    assert "doubled" in kinds(check(script.entries, [script.facts()]))


def test_a_lease_number_that_falls(script: Script) -> None:
    script.create()
    script.claim(lease_no=1)
    script.wait(6)
    script.tell("expired", "waiting", attempt=1)
    script.claim(lease_no=1, attempt=2, who="x")
    assert "lease_no" in kinds(check(script.entries))


def test_giving_back_costs_no_attempt(script: Script) -> None:
    script.create()
    lease = script.claim()
    call = script.send("release", 1, lease=lease)
    script.tell("released", "waiting")
    script.end(call)
    script.claim(lease_no=2, attempt=2)
    assert "attempts" in kinds(check(script.entries))


@pytest.mark.parametrize("applied", [True, False])
def test_an_acknowledged_completion_that_is_lost(script: Script, *, applied: bool) -> None:
    script.create()
    lease = script.claim()
    call = script.send("complete", 1, lease=lease)
    if applied:
        script.end(call)
    else:
        script.end(call, 409, {"details": {"reason": "already_applied"}})
    script.wait(6)
    script.tell("expired", "failed", attempt=1)
    facts = script.facts(status="failed")
    assert "lost" in kinds(check(script.entries, [Facts(1, facts.row, facts.steps, [(1, 1, "expired")])]))


@pytest.mark.parametrize("op", ["cancel", "retry", "execute", "update", "answer", "approve"])
def test_another_acknowledged_write_that_is_lost(script: Script, op: str) -> None:
    script.create()
    script.end(script.send(op, 1))
    script.complete(script.claim())
    assert "lost" in kinds(check(script.entries, [script.facts()]))


def test_a_task_that_is_lost(script: Script) -> None:
    script.create()
    assert "lost" in kinds(check(script.entries))


def test_a_completion_that_nobody_asked_for(script: Script) -> None:
    script.create()
    script.claim()
    script.tell("completed", "completed")
    assert "unasked" in kinds(check(script.entries, [script.facts()]))


def test_a_task_that_never_ends(script: Script) -> None:
    script.create()
    facts = Facts(1, {"status": "waiting", "lease_no": 0, "attempt": 0, "version": 1}, script.steps[1], [])
    assert kinds(check(script.entries, [facts])) == {"endless"}


def test_a_key_of_two_tasks(script: Script) -> None:
    script.create(1, key="same")
    script.create(2, key="same")
    assert "key" in kinds(check(script.entries))


def test_a_transition_that_there_is_not(script: Script) -> None:
    script.create()
    script.tell("completed", "completed")
    assert "lifecycle" in kinds(check(script.entries))


def test_a_transition_that_is_told_twice(script: Script) -> None:
    script.create()
    script.complete(script.claim())
    script.tell("completed", "completed")
    assert "lifecycle" in kinds(check(script.entries))


def test_an_event_that_is_not_told(script: Script) -> None:
    script.create()
    script.complete(script.claim())
    script.entries = [one for one in script.entries if not (isinstance(one, Told) and one.type == "task.completed")]
    assert "feed" in kinds(check(script.entries, [script.facts()]))


def test_events_out_of_order(script: Script) -> None:
    script.create()
    script.entries.append(next(one for one in script.entries if isinstance(one, Told)))
    assert "feed" in kinds(check(script.entries))


@pytest.mark.parametrize(
    ("told", "found"),
    [([2, 3, 4], False), ([], False), ([2, 4], True), ([2, 3, 3, 4], True), ([2, 4, 3], True), ([2, 3, 4, 5], True)],
)
def test_what_readers_were_told(told: list[int], *, found: bool) -> None:
    assert bool(list(compare("reader", told, [1, 2, 3, 4]))) is found


@pytest.mark.parametrize(
    "wrong", [{"lease_no": 2}, {"status": "failed"}, {"attempt": 2}, {"version": 2}], ids=lambda wrong: next(iter(wrong))
)
def test_a_row_that_does_not_fit_its_events(script: Script, wrong: dict[str, Any]) -> None:
    script.create()
    script.complete(script.claim())
    facts = script.facts()
    assert check(script.entries, [Facts(1, (facts.row or {}) | wrong, facts.steps, facts.attempts)])


@pytest.mark.parametrize("attempts", [[], [(1, 1, "failed")], [(1, 1, "completed"), (2, 1, "failed")]])
def test_attempts_that_do_not_fit_the_events(script: Script, attempts: list[tuple[int, int, str]]) -> None:
    script.create()
    script.complete(script.claim())
    facts = script.facts()
    assert kinds(check(script.entries, [Facts(1, facts.row, facts.steps, attempts)])) == {"attempts"}


def test_a_task_that_goes_on_after_its_end(script: Script) -> None:
    script.create()
    script.complete(script.claim())
    checker = Checker()
    for entry in script.entries:
        checker.take(entry)
    checker.close(script.facts())
    assert checker.violations == []
    script.tell("retried", "waiting")
    checker.take(script.entries[-1])
    assert kinds(checker.violations) == {"after"}


def test_a_create_that_is_answered_when_all_is_over(script: Script) -> None:
    script.create()
    script.complete(script.claim())
    checker = Checker()
    for entry in script.entries:
        checker.take(entry)
    checker.close(script.facts())
    again = script.send("create", who="c", key="k1")
    script.end(again, 200, [TASK | {"key": "k1"}])
    for entry in script.entries[-2:]:
        checker.take(entry)
    checker.finish([script.facts()])
    assert checker.violations == []


@pytest.mark.parametrize(("touched", "found"), [(False, True), (True, False)])
def test_rank_within_a_directory(script: Script, *, touched: bool, found: bool) -> None:
    script.create(1, priority="urgent", exclusive=False)
    script.create(2, exclusive=False)
    script.wait(1)
    if touched:
        # It may have been on its way to another status.
        script.send("cancel", 1)
    script.claim(2, exclusive=False)
    assert ("rank" in kinds(check(script.entries))) is found


def test_one_that_came_while_somebody_asked_is_not_passed_over(script: Script) -> None:
    script.create(2, exclusive=False)
    call = script.send("claim", lease_seconds=5)
    script.create(1, priority="urgent", exclusive=False)
    script.tell("claimed", "running", 2, lease_no=1, attempt=1, worker_id="w")
    script.end(call, 200, [TASK | {"id": 2, "exclusive": False, "lease_no": 1, "lease": "2.1.w"}])
    assert "rank" not in kinds(check(script.entries))


@pytest.mark.parametrize(("trouble", "found"), [(False, True), (True, False)])
def test_a_task_for_an_asker_that_had_hung_up(script: Script, *, trouble: bool, found: bool) -> None:
    gone = script.send("claim", lease_seconds=2, who="gone")
    gone.ended, gone.outcome = script.at, "unknown"
    script.entries.append(Ended(gone))
    if trouble:
        script.entries += [Trouble(script.at + 0.1, "kill"), Trouble(script.at + 0.2, "kill", over=True)]
    script.wait(2)
    script.create()
    script.tell("claimed", "running", lease_no=1, attempt=1, worker_id="gone")
    script.wait(2)
    script.tell("expired", "waiting", attempt=1)
    assert ("gone" in kinds(check(script.entries))) is found


def test_an_internal_error(script: Script) -> None:
    script.end(script.send("claim", lease_seconds=5), 500)
    assert kinds(check(script.entries)) == {"error"}
