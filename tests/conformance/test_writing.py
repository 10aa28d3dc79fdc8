"""What is written down: logs, usage, outputs, leases that are shifted, rollups; and the guard against other writers."""

import json
import random
import string
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Created, Logged
from orchestrator.domain.paths import MAX_BYTES, canonical
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Outputs
from orchestrator.store.session import StaleRowError
from orchestrator.store.sqlite.store import SQLiteStore
from tests.rig import HOUR, Rig, enqueue, new_task
from worker_client.contract.enums import LogStream, Status
from worker_client.contract.reports import MOST, MOST_USD


def test_log_lines_are_stored_once_and_numbered(rig: Rig) -> None:
    grant = rig.running()

    def send(first: int | None, *texts: str, lease: str = grant.lease) -> tuple[int, int]:
        lines = tuple(ops.LogLine(text, LogStream.STDOUT, None) for text in texts)
        logged = rig.do(ops.AppendLogs(task_id=grant.task_id, lease=lease, lines=lines, first_line=first))
        assert isinstance(logged, Logged)
        return logged.stored, logged.next_line

    assert send(1, "a", "b") == (2, 3)
    assert send(1, "a", "b") == (0, 3)
    assert send(2, "b", "c") == (1, 4)
    assert send(None, "d") == (1, 5)
    assert send(4, "d") == (0, 5)
    assert send(9, "i") == (1, 10)
    rig.do(ops.Release(task_id=grant.task_id, lease=grant.lease))
    again = rig.take()
    assert send(1, "A", lease=again.lease) == (1, 2)
    assert rig.fetch("SELECT number, lease_no, line, text FROM task_logs ORDER BY number") == [
        (1, 1, 1, "a"), (2, 1, 2, "b"), (3, 1, 3, "c"), (4, 1, 4, "d"), (5, 1, 9, "i"), (6, 2, 1, "A"),
    ]  # fmt: skip


def test_log_lines_of_one_batch(rig: Rig) -> None:
    grant = rig.running()
    lines = (ops.LogLine("x", LogStream.STDERR, 5), ops.LogLine("y", LogStream.SYSTEM, None))
    rig.outcomes(*(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=lines, first_line=at) for at in (1, 3, 1)))
    assert rig.fetch("SELECT number, at, stream FROM task_logs ORDER BY number") == [
        (1, 5, "stderr"), (2, rig.time.at, "system"), (3, 5, "stderr"), (4, rig.time.at, "system"),
    ]  # fmt: skip


def test_usage_is_cumulative_per_attempt_and_summed_over_them(rig: Rig) -> None:
    task_id = rig.add(max_attempts=5)

    def usage(tokens: int) -> str:
        return json.dumps({"input_tokens": tokens, "cost_usd": tokens / 100, "model": f"m{tokens}"})

    def beat(lease: str, tokens: int) -> None:
        rig.do(ops.Heartbeat(task_id=task_id, lease=lease, outputs=Outputs(usage_now=usage(tokens))))

    first = rig.take()
    beat(first.lease, 10)
    beat(first.lease, 20)
    rig.do(ops.Fail(task_id=task_id, lease=first.lease, error="{}", retry_after_ms=0))
    second = rig.take()
    beat(second.lease, 5)
    rig.do(ops.Release(task_id=task_id, lease=second.lease))
    third = rig.take()
    rig.do(ops.Release(task_id=task_id, lease=third.lease))
    fourth = rig.take()
    rig.outcomes(
        ops.Heartbeat(task_id=task_id, lease=fourth.lease, outputs=Outputs(usage_now=usage(1))),
        ops.Complete(task_id=task_id, lease=fourth.lease, usage=usage(3)),
    )
    total = json.loads(rig.output(task_id, "usage_before"))
    assert (total["input_tokens"], round(total["cost_usd"], 6), total["model"]) == (28, 0.28, "m3")
    assert rig.output(task_id, "usage_now") == "null"
    used = [json.loads(text)["input_tokens"] if text else None for (text,) in rig.fetch("SELECT usage FROM attempts ORDER BY id")]
    assert used == [20, 5, None, 3]


def test_a_usage_counts_no_further_than_it_can_be_told_and_keeps_nobody_from_ending(rig: Rig) -> None:
    most = json.dumps({"input_tokens": MOST, "duration_ms": MOST, "cost_usd": MOST_USD})
    task_id = rig.add(max_attempts=5)
    for _ in range(2):
        rig.do(ops.Fail(task_id=task_id, lease=rig.take().lease, error="{}", retry_after_ms=0, usage=most))
    rig.do(ops.Heartbeat(task_id=task_id, lease=rig.take(lease_ms=1_000).lease, outputs=Outputs(usage_now=most)))
    other = rig.running("/other", lease_ms=1_000)
    rig.pass_(2_000)
    assert [rig.head(one).lease_ends_at for one in (task_id, other.task_id)] == [None, None]
    assert json.loads(rig.output(task_id, "usage_before")) == json.loads(most)


def test_outputs_of_an_attempt_are_kept_until_replaced(rig: Rig) -> None:
    grant = rig.running()
    sent = Outputs(progress='{"percent": 5}', checkpoint="[1]", session_id="s")
    rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=sent))
    rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=Outputs(checkpoint="[2]")))
    assert [rig.output(grant.task_id, name) for name in ("progress", "checkpoint", "session_id")] == [
        '{"percent": 5}',
        "[2]",
        "s",
    ]
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, result='"r"'))
    assert rig.output(grant.task_id, "result") == '"r"'
    rig.do(ops.Retry(task_id=grant.task_id))
    assert rig.output(grant.task_id, "result") == "null"
    assert rig.fetch("SELECT session_id FROM attempts") == [("s",)]


def test_shift_moves_all_live_leases(rig: Rig) -> None:
    rig.add()
    rig.add("/b")
    first, _ = rig.take(confirm_ms=2_000), rig.take("/b", lease_ms=5_000)
    before = rig.heads()
    rig.time.pass_(HOUR)
    rig.outcomes(ops.Expire(), ops.Shift(by_ms=HOUR), ops.Heartbeat(task_id=first.task_id, lease=first.lease))
    # The time given back comes first, whatever else is in the batch: no answer tells of an end that is past.
    after = rig.heads()
    assert [head.status for head in after.values()] == [Status.RUNNING] * 2
    assert after[2].lease_ends_at == (before[2].lease_ends_at or 0) + HOUR
    assert after[2].expire_at == (before[2].expire_at or 0) + HOUR
    assert after[1].lease_ends_at == rig.time.at + 10_000
    assert after[1].confirm_by is None


def test_a_row_that_another_writer_changed_stops_the_batch(embedded: Rig) -> None:
    rig, store = embedded, embedded.store
    assert isinstance(store, SQLiteStore)
    assert store._writer is not None
    task_id = rig.add()
    other = rig.add("/b")
    rig._runner.run(store._writer.run(
        lambda db: db.execute("UPDATE tasks SET version = version + 1, title = 'foreign' WHERE id = ?", [task_id]).rowcount
    ))  # fmt: skip
    before = rig.dump()
    with pytest.raises(StaleRowError):
        rig.outcomes(ops.Cancel(task_id=other), ops.Cancel(task_id=task_id))
    assert rig.dump() == before
    # Run again, it sees the row as it is.
    rig.outcomes(ops.Cancel(task_id=other), ops.Cancel(task_id=task_id))
    assert (rig.status(task_id), rig.head(task_id).title) == (Status.CANCELLED, "foreign")


def test_the_rollups_are_a_recount(rig: Rig) -> None:
    rig.rules = Rules(backoff='{"base_seconds": 0}')
    rig.do(enqueue(*(new_task(f"/{n % 3}", priority=n % 4, host=f"h{n % 2}") for n in range(24))))
    grants = rig.claim("/", recursive=True, host="h0", limit=10)
    rig.outcomes(*(ops.Complete(task_id=grant.task_id, lease=grant.lease) for grant in grants[:3]))
    rig.outcomes(*(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}") for grant in grants[3:6]))
    rig.outcomes(
        ops.Update(task_id=2, path="/moved", priority=0),
        ops.Cancel(task_id=4),
        ops.Delete(task_id=6),
        ops.Cancel(task_id=8),
        ops.Retry(task_id=8),
    )
    kept, real = rig.counts()
    assert kept == real
    sums = rig.fetch("SELECT sum(created), sum(completed), sum(failed), sum(cancelled) FROM task_rates")
    assert sums == [(24, 3, 0, 1)]
    assert rig.fetch("SELECT sum(n) FROM task_durations") == [(3,)]


def test_what_is_shown_from_memory_is_what_is_stored(rig: Rig) -> None:
    """A task with a key is shown again at every point of its life, by an operation that changes nothing."""
    body = new_task(key="k", key_hash="h", max_attempts=9)
    create = enqueue(body)

    def shown() -> Any:
        outcome = rig.do(create)
        assert isinstance(outcome, Created)
        if isinstance(rig.store, SQLiteStore):
            rig.store._memory.clear()
        again = rig.do(create)
        assert isinstance(again, Created)
        assert again.views == outcome.views
        return outcome.views[1]

    rig.do(create)
    shown()
    lease = rig.take()
    shown()
    rig.do(ops.Fail(task_id=1, lease=lease.lease, error='{"type":"Broken"}'))
    assert shown().outputs.error == '{"type":"Broken"}'
    rig.pass_(HOUR)
    rig.do(ops.Promote())
    lease = rig.take()
    rig.do(ops.Heartbeat(task_id=1, lease=lease.lease, outputs=Outputs(progress='{"percent":5}')))
    assert shown().outputs.progress == '{"percent":5}'
    rig.do(ops.Complete(task_id=1, lease=lease.lease, result="7"))
    assert shown().outputs.result == "7"


def test_the_longest_directories_fit(rig: Rig) -> None:
    chance = random.Random(7)
    path = canonical("/" + "".join(chance.choices(string.ascii_letters + string.digits, k=MAX_BYTES - 1)))
    host = "".join(chr(chance.randrange(0x1F300, 0x1F9FF)) for _ in range(255))
    rig.do(ops.SetDirectory(path=path, host=host, max_running=5))
    grant = rig.running(path, host=host, kind="k" * 64)
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    assert rig.status(grant.task_id) == "completed"
