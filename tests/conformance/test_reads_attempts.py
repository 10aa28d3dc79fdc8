"""Attempts: the history of a task, and lists across tasks."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.domain.task import Outputs
from orchestrator.store.reads import attempts as module
from tests.reading import read
from tests.rig import START, Rig
from worker_client.contract.attempts import Attempt, ListAttempts
from worker_client.contract.enums import AttemptOutcome
from worker_client.errors import ValidationFailed

O = AttemptOutcome  # noqa: E741 - read as in the lines below
BELOW_A = PathScope((Pattern("/a", below=True),))
NOBODY = PathScope(())


def fail(rig: Rig, task_id: int, lease: str, took: int) -> None:
    rig.time.pass_(took)
    rig.do(ops.Fail(task_id=task_id, lease=lease, error='{"type": "E", "message": "broke"}', usage='{"input_tokens": 5}'))


def complete(rig: Rig, task_id: int, lease: str, took: int) -> None:
    rig.time.pass_(took)
    rig.do(ops.Complete(task_id=task_id, lease=lease))


def test_a_history_ends_with_the_attempt_that_runs(rig: Rig) -> None:
    first = rig.running("/a", lease_ms=60_000, host="box")
    assert read(rig, rig.store.reads.attempts_of(first.task_id, EVERYWHERE)) == [
        Attempt(
            id=None, task_id=first.task_id, lease_no=1, attempt=1, outcome=O.RUNNING, work_directory="/a", host="box",
            kind="agent", worker_id="w1", session_id=None, started_at=moment(START), ended_at=None, duration_ms=None,
            error=None, usage=None, reason=None,
        )
    ]  # fmt: skip
    fail(rig, first.task_id, first.lease, 1500)
    rig.pass_(60_000)
    second = rig.take("/a", host="box", worker="w2")
    rig.do(
        ops.Heartbeat(task_id=second.task_id, lease=second.lease, outputs=Outputs(session_id="s", usage_now='{"cost_usd": 1}'))
    )
    history = read(rig, rig.store.reads.attempts_of(first.task_id, EVERYWHERE))
    assert history is not None
    assert [(one.lease_no, one.outcome, one.worker_id, one.duration_ms) for one in history] == [
        (1, O.FAILED, "w1", 1500),
        (2, O.RUNNING, "w2", None),
    ]
    failed, running = history
    assert failed.error is not None
    assert failed.usage is not None
    assert running.usage is not None
    assert (failed.error.message, failed.usage.input_tokens, failed.ended_at) == ("broke", 5, moment(START + 1500))
    assert (running.session_id, running.usage.cost_usd) == ("s", 1)
    assert read(rig, rig.store.reads.attempts_of(first.task_id, PathScope((Pattern("/b", below=True),)))) is None
    assert read(rig, rig.store.reads.attempts_of(99, EVERYWHERE)) is None


@pytest.fixture
def mixed(rig: Rig) -> Rig:
    """Ten ended attempts (ids 1 to 10), then three that run (tasks 11 to 13), alternating between /a/x and /b."""
    for number in range(10):
        grant = rig.running("/b" if number % 2 else "/a/x", lease_ms=3_600_000, max_attempts=1)
        (fail if number % 3 == 0 else complete)(rig, grant.task_id, grant.lease, 100 * (number + 1))
    for path in ("/a/x", "/b", "/a/x"):
        rig.add(path)
        rig.take(path, worker="w9", lease_ms=3_600_000)
    return rig


def paged(rig: Rig, query: ListAttempts, visible: PathScope = EVERYWHERE) -> list[tuple[int | None, int]]:
    """(attempt, task) of all pages, once by cursor and once by offset."""
    reads = rig.store.reads
    by_cursor: list[Attempt] = []
    cursor: str | None = None
    while True:
        page = read(rig, reads.attempts(replace(query, cursor=cursor, limit=3), visible))
        by_cursor += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    by_offset: list[Attempt] = []
    while more := read(rig, reads.attempts(replace(query, offset=len(by_offset), limit=4), visible)).items:
        by_offset += more
    assert by_cursor == by_offset
    assert page.total == len(by_cursor)
    return [(attempt.id, attempt.task_id) for attempt in by_cursor]


def test_what_runs_comes_first_then_the_newest(mixed: Rig) -> None:
    running = [(None, 13), (None, 12), (None, 11)]
    ended = [(number, number) for number in range(10, 0, -1)]
    assert paged(mixed, ListAttempts()) == running + ended
    assert paged(mixed, ListAttempts(outcome=[O.RUNNING])) == running
    assert paged(mixed, ListAttempts(outcome=[O.FAILED])) == [(10, 10), (7, 7), (4, 4), (1, 1)]
    assert paged(mixed, ListAttempts(outcome=[O.RUNNING, O.FAILED])) == [*running, (10, 10), (7, 7), (4, 4), (1, 1)]
    assert paged(mixed, ListAttempts(outcome=[])) == []


def test_attempts_are_filtered(mixed: Rig) -> None:
    assert paged(mixed, ListAttempts(task_id=7)) == [(7, 7)]
    assert paged(mixed, ListAttempts(task_id=12)) == [(None, 12)]
    assert paged(mixed, ListAttempts(worker_id="w9")) == [(None, 13), (None, 12), (None, 11)]
    assert paged(mixed, ListAttempts(work_path=["/b"])) == [(None, 12), *((number, number) for number in (10, 8, 6, 4, 2))]
    assert paged(mixed, ListAttempts(work_path=["/a"])) == []
    below = [(None, 13), (None, 11), *((number, number) for number in (9, 7, 5, 3, 1))]
    assert paged(mixed, ListAttempts(work_path=["/a"], recursive=True)) == below
    assert paged(mixed, ListAttempts(), BELOW_A) == below
    assert paged(mixed, ListAttempts(work_path=["/b"]), BELOW_A) == []
    assert paged(mixed, ListAttempts(), NOBODY) == []
    second = moment(START + 100)
    assert paged(mixed, ListAttempts(started_before=second)) == [(1, 1)]
    assert paged(mixed, ListAttempts(started_after=second, started_before=second + timedelta(milliseconds=1))) == [(2, 2)]


def test_a_cursor_of_another_list_is_refused(mixed: Rig) -> None:
    for cursor, offset, field in (("dDI", 0, "cursor"), ("ZTU", 3, "offset")):
        with pytest.raises(ValidationFailed) as refusal:
            read(mixed, mixed.store.reads.attempts(ListAttempts(cursor=cursor, offset=offset), EVERYWHERE))
        assert refusal.value.details["field"] == field


def test_one_attempt_is_seen_where_its_directory_is(mixed: Rig) -> None:
    attempt = read(mixed, mixed.store.reads.attempt(3, BELOW_A))
    assert attempt is not None
    assert (attempt.id, attempt.outcome, attempt.duration_ms) == (3, O.COMPLETED, 300)
    assert read(mixed, mixed.store.reads.attempt(2, BELOW_A)) is None
    assert read(mixed, mixed.store.reads.attempt(99, EVERYWHERE)) is None


def test_attempts_are_counted_and_measured(mixed: Rig) -> None:
    stats = read(mixed, mixed.store.reads.attempt_stats(ListAttempts(), EVERYWHERE))
    assert (stats.total, stats.total_exact) == (10, True)
    assert stats.by_outcome == {"completed": 6, "failed": 4, "expired": 0, "released": 0, "parked": 0, "cancelled": 0}
    assert stats.success_rate == pytest.approx(0.6)
    # Completed ones took 200, 300, 500, 600, 800 and 900 ms.
    assert (stats.p50_ms, stats.p95_ms, stats.p99_ms) == (500, 900, 900)
    one = read(mixed, mixed.store.reads.attempt_stats(ListAttempts(task_id=2), EVERYWHERE))
    assert (one.total, one.p50_ms, one.success_rate) == (1, 200, 1)
    nothing = read(mixed, mixed.store.reads.attempt_stats(ListAttempts(), NOBODY))
    assert (nothing.total, nothing.success_rate, nothing.p50_ms) == (0, None, None)


def test_only_so_many_attempts_are_looked_at(mixed: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED", 4)
    stats = read(mixed, mixed.store.reads.attempt_stats(ListAttempts(), EVERYWHERE))
    assert (stats.total, stats.total_exact) == (4, False)
    assert stats.by_outcome["failed"] == 2
