"""What must be true of a queue at every moment, written down a second time, without the rules' own code."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import DAY
from orchestrator.domain.outcomes import Claimed
from orchestrator.domain.task import Head, LeaseMode
from orchestrator.store.protocol import Commit
from tests.rig import Rig
from worker_client.contract.enums import FINAL, Status

OPEN_ENDED = {"question", "approval", "budget"}
COSTLY = {"completed", "failed", "expired", "cancelled"}
Heads = Mapping[int, Head]


def parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def nested(one: str, other: str) -> bool:
    """Whether one of two POSIX directories is the other, or lies below it."""
    short, long = sorted((parts(one), parts(other)), key=len)
    return long[: len(short)] == short


def same_machine(one: str | None, other: str | None) -> bool:
    return not one or not other or one == other


def excludes(one: Head, path: str, host: str, mode: int) -> bool:
    """Whether a live lease keeps another one out."""
    if LeaseMode.NONE in {one.lease_mode, mode} or LeaseMode.EXCLUSIVE not in {one.lease_mode, mode}:
        return False
    return nested(one.path, path) and same_machine(one.lease_host, host)


def lease_of(head: Head) -> str:
    """The text of the latest lease on a task."""
    return f"{head.id}.{head.lease_no}.{head.nonce}"


def due_at(head: Head) -> int | None:
    """When time does something to a task."""
    match head.status:
        case Status.RUNNING:
            return head.expire_at
        case Status.SCHEDULED:
            return head.due_at
        case Status.PARKED:
            return head.hold_until
        case _:
            return None


def all_due(rig: Rig, heads: Heads) -> list[int]:
    """When time does something: to tasks, to budgets of a day that is spent, and to accounts without quota."""
    spent = [(day + 1) * DAY for (day,) in rig.fetch("SELECT reached_day FROM directories WHERE reached_day IS NOT NULL")]
    spent += [at for (at,) in rig.fetch("SELECT held_until FROM accounts WHERE held_until IS NOT NULL")]
    return spent + [at for head in heads.values() if (at := due_at(head)) is not None]


def check_due(rig: Rig, heads: Heads, commit: Commit) -> None:
    """The reaper is told of the first that is due."""
    assert commit.next_due == min(all_due(rig, heads), default=None)
    assert commit.leases == any(head.status is Status.RUNNING for head in heads.values())


def check_bounds(before: Heads, after: Heads, *, shifted: bool) -> None:
    """No lease is extended long after the cancel request."""
    for head in after.values():
        if shifted or head.lease_ends_at is None or head.cancel_requested_at in {None, head.updated_at}:
            continue
        old = before.get(head.id)
        earlier = (old.lease_ends_at or 0) if old is not None and old.lease_no == head.lease_no else 0
        assert head.lease_ends_at <= max(earlier, (head.cancel_requested_at or 0) + 60_000)


def check_states(heads: Heads, edges: Iterable[tuple[int, int, int]]) -> None:
    """No state without an exit; statuses follow from the facts."""
    open_parents = defaultdict(set)
    for child, parent, satisfied in edges:
        if not satisfied:
            open_parents[child].add(parent)
    for head in heads.values():
        waits_for = open_parents[head.id]
        match head.status:
            case Status.BLOCKED:
                assert waits_for, f"{head.id} is blocked by nobody"
                for parent in waits_for:
                    assert parent in heads, f"{head.id} waits for {parent}, which is gone"
                    assert heads[parent].status not in {Status.FAILED, Status.CANCELLED}, f"{head.id} waits for ever"
            case Status.SCHEDULED:
                assert head.due_at is not None
            case Status.PARKED:
                assert head.hold_until is not None or head.hold in OPEN_ENDED, f"{head.id} is parked for ever"
            case Status.RUNNING:
                assert head.expire_at is not None
                assert head.lease_ends_at is not None
                assert head.lease_deadline is not None
                assert head.lease_ends_at <= head.lease_deadline
                assert head.lease_ends_at <= head.expire_at or head.confirm_by == head.expire_at
            case _:
                pass
        if head.status not in FINAL | {Status.BLOCKED}:
            assert not waits_for, f"{head.id} is {head.status}, but waits for {waits_for}"


def check_leases(heads: Heads) -> None:
    """Promise 4: no exclusive lease overlaps another on the same machine."""
    running = [head for head in heads.values() if head.status is Status.RUNNING]
    for at, one in enumerate(running):
        for other in running[:at]:
            assert not excludes(one, other.path, other.lease_host or "", other.lease_mode), f"{one.id} and {other.id} overlap"


def check_steps(before: Heads, after: Heads, commit: Commit) -> None:
    """Numbers never fall, every change is a new version, every transition is told once by the feed."""
    told = {event.task_id: event.status for event in commit.events}
    created = {event.task_id for event in commit.events if event.type == "task.created"}
    deleted = {event.task_id for event in commit.events if event.type == "task.deleted"}
    assert after.keys() - before.keys() == created - deleted
    assert before.keys() - after.keys() == deleted - (created - before.keys())
    assert [event.id for event in commit.events] == sorted({event.id for event in commit.events})
    for task_id, head in after.items():
        if (old := before.get(task_id)) is not None:
            assert head.lease_no >= old.lease_no, "a lease number fell"
            assert head.version >= old.version
            assert head == old or head.version > old.version, f"{task_id} changed within a version"
            assert head.status is old.status or task_id in told, f"{task_id} went to {head.status} without an event"
        if task_id in told:
            assert told[task_id] == head.status, f"the feed says {told[task_id]} of {task_id}, which is {head.status}"


def check_attempts(heads: Heads, attempts: Iterable[tuple[int, int, str]], counted_from: Mapping[int, int]) -> None:
    """Promise 5: only what ran to an end, failed or died costs an attempt."""
    used: Counter[int] = Counter()
    for task_id, lease_no, outcome in attempts:
        used[task_id] += outcome in COSTLY and lease_no > counted_from.get(task_id, 0)
    for head in heads.values():
        expected = used[head.id] + (head.status is Status.RUNNING)
        assert head.attempt == expected, f"{head.id}: {head.attempt} attempts, {expected} are to be accounted for"


def check_fencing(before: Heads, commit: Commit, batch: list[ops.Submission]) -> None:
    """Promise 3: what was accepted carried the lease that was live when the batch began, and ended it at most once."""
    ended: Counter[int] = Counter()
    for submission, decision in zip(batch, commit.decisions, strict=True):
        op = submission.op
        lease = getattr(op, "lease", None)
        if lease is None or not isinstance(op, ops.OnTask) or not decision.changes:
            continue
        head = before[op.task_id]
        assert head.status is Status.RUNNING, f"{op} was accepted of a task that was {head.status}"
        assert lease == lease_of(head), f"{op} was accepted with a stale lease"
        assert submission.by.id == head.claimed_by
        ended[op.task_id] += op.phase is ops.Phase.END
    assert not ended or max(ended.values()) <= 1, "a lease was ended twice"


def check_claims(rig: Rig, after: Heads, commit: Commit, batch: list[ops.Submission]) -> None:
    """Promises 2 and 6: who asks gets the first tasks in rank order of those that nothing keeps back."""
    claims = [
        (one.op, decision.outcome)
        for one, decision in zip(batch, commit.decisions, strict=True)
        if isinstance(one.op, ops.Claim) and isinstance(decision.outcome, Claimed)
    ]
    new = {grant.task_id for _, outcome in claims for grant in outcome.grants if grant.delivery_no == 1}
    running = [head for head in after.values() if head.status is Status.RUNNING and head.id not in new]
    waiting = {head.id: head for head in after.values() if head.status is Status.WAITING or head.id in new}
    for op, outcome in claims:
        if outcome.grants and outcome.grants[0].delivery_no > 1:
            continue
        expected: list[int] = []
        resting = rests(rig, op)
        assert outcome.drain == (resting == "drain")
        assert outcome.quota == (resting == "quota")
        for head in sorted(waiting.values(), key=lambda one: (one.rank, one.id)):
            if not resting and len(expected) < op.limit and wants(op, head) and free(rig, op, head, running):
                expected.append(head.id)
                running.append(after[head.id])
                del waiting[head.id]
        granted = [grant.task_id for grant in outcome.grants]
        assert granted == expected, f"{op} got {granted} in place of {expected}"


USED = ("input_tokens", "output_tokens", "cached_tokens", "micros", "duration_ms")


def used(text: str | None) -> Counter[str]:
    """What a usage counts for."""
    told = json.loads(text or "null") or {}
    return Counter({name: told.get(name, 0) for name in USED} | {"micros": round(told.get("cost_usd", 0) * 1_000_000)})


def check_ledger(rig: Rig, heads: Heads, ended: Mapping[tuple[str, str], Counter[str]]) -> None:
    """The ledger is what the attempts used that ended, and those that run; `ended` is by directory and host."""
    books = {place: Counter(counted) for place, counted in ended.items()}
    for task_id, text in rig.fetch("SELECT task_id, usage_now FROM task_outputs"):
        if (head := heads.get(task_id)) is not None and head.status is Status.RUNNING:
            books.setdefault((head.path, head.lease_host or ""), Counter()).update(used(text))
        else:
            assert text in {None, "null"}, f"{task_id} does not run, but uses {text}"
    kept: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for path, host, attempts, *counts in rig.fetch(f"SELECT path, host, attempts, {', '.join(USED)} FROM task_usage"):  # noqa: S608 - names are ours
        kept[path, host].update({"attempts": attempts, **dict(zip(USED, counts, strict=True))})
    assert {place: +counts for place, counts in kept.items() if +counts} == {
        place: +counts for place, counts in books.items() if +counts
    }


def check_budgets(heads: Heads) -> None:
    """No task waits, or will by itself, whose budget is used up."""
    for head in heads.values():
        if head.status in {Status.WAITING, Status.SCHEDULED} and head.budget is not None:
            told = json.loads(head.budget)
            for what in ("tokens", "micros"):
                most = told.get(what)
                assert most is None or told.get(f"used_{what}", 0) < most + told.get(f"more_{what}", 0), f"{head.id}: {told}"


def wants(op: ops.Claim, head: Head) -> bool:
    asked = op.interest
    return (
        any(
            head.path == path or (asked.recursive and nested(path, head.path) and len(path) < len(head.path))
            for path in asked.paths
        )
        and (not asked.kinds or head.kind in asked.kinds)
        and head.host in {"", asked.host}
        and asked.tags <= set(head.tags)
        and (not asked.agent or head.agent in {"", asked.agent})
    )


def rests(rig: Rig, op: ops.Claim) -> str:
    """What keeps an asker from getting anything at all."""
    if rig.fetch("SELECT 1 FROM drains WHERE worker_id = ?", [op.worker_id]):
        return "drain"
    held = rig.fetch("SELECT 1 FROM accounts WHERE account = ? AND held_until > ?", [op.account or "", rig.time.at])
    return "quota" if held else ""


def free(rig: Rig, op: ops.Claim, head: Head, running: list[Head]) -> bool:
    """Whether no lease, pause or limit keeps a task back from an asker."""
    host = op.interest.host
    mode = LeaseMode.EXCLUSIVE if head.exclusive or op.interest.exclusive else LeaseMode.SHARED
    if head.kind == "http":
        mode = LeaseMode.NONE
    if any(excludes(one, head.path, host, mode) for one in running):
        return False
    if rig.rules.max_running and len(running) >= rig.rules.max_running:
        return False
    columns = "path, host, paused, max_running, daily_tokens, daily_micros, daily_attempts"
    for path, on, paused, most, *daily in rig.fetch(f"SELECT {columns} FROM directories"):  # noqa: S608 - names are ours
        if not nested(path, head.path) or len(parts(path)) > len(parts(head.path)) or on not in {"", host}:
            continue
        there = [
            one
            for one in running
            if nested(path, one.path) and len(parts(one.path)) >= len(parts(path)) and (not on or one.lease_host == on)
        ]
        if paused or (most is not None and len(there) >= most) or spent(rig, path, on, head.kind, len(there), daily):
            return False
    return True


def spent(rig: Rig, path: str, on: str, kind: str, running: int, daily: list[int | None]) -> bool:
    """Whether a day's budget of a directory is used up for tasks of a kind."""
    if daily == [None] * 3:
        return False
    today: Counter[str] = Counter()
    for at, host, *counts in rig.fetch(
        "SELECT path, host, input_tokens + output_tokens, micros, attempts FROM task_usage WHERE day = ?", [rig.time.at // DAY]
    ):
        if nested(path, at) and len(parts(path)) <= len(parts(at)) and on in {"", host}:
            today.update(dict(zip(("tokens", "micros", "attempts"), counts, strict=True)))
    tokens, micros, attempts = daily
    metered = kind not in {"script", "http"}
    return (
        (attempts is not None and today["attempts"] + running >= attempts)
        or (metered and tokens is not None and today["tokens"] >= tokens)
        or (metered and micros is not None and today["micros"] >= micros)
    )
