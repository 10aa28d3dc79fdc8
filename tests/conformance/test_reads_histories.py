"""What is told of one task: what happened to it, what it hangs together with, where in its output something is."""

from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.store.reads import histories
from tests.reading import read
from tests.rig import Rig, meddle
from worker_client.contract.enums import LogStream


def times(rig: Rig, task_id: int) -> set[int]:
    view = read(rig, rig.store.reads.task(task_id, EVERYWHERE))
    assert view is not None
    attempts = read(rig, rig.store.reads.attempts_of(task_id, EVERYWHERE)) or []
    ended = [attempt.ended_at.timestamp() for attempt in attempts if attempt.ended_at]
    begun = [attempt.started_at.timestamp() for attempt in attempts]
    return {view.head.created_at, view.head.updated_at, *(round(at * 1000) for at in (*begun, *ended))}


def history(rig: Rig, task_id: int, limit: int = 100, visible: PathScope = EVERYWHERE) -> tuple[list[str], bool]:
    found, complete = read(rig, rig.store.reads.events_of(task_id, times(rig, task_id), limit, visible))
    return [event.type.removeprefix("task.") for event in found], complete


def lived(rig: Rig) -> int:
    """A task that failed once and completed, among others."""
    rig.add("/b")
    rig.time.pass_(5)
    task_id = rig.add("/a")
    for _ in range(20):
        rig.time.pass_(5)
        rig.add("/b")
    (grant,) = rig.claim("/a")
    rig.time.pass_(5)
    rig.add("/b")
    rig.do(ops.Fail(task_id=task_id, lease=grant.lease, error="{}", retryable=False))
    rig.time.pass_(5)
    rig.add("/b")
    rig.do(ops.Retry(task_id=task_id))
    rig.time.pass_(5)
    rig.add("/b")
    (grant,) = rig.claim("/a")
    rig.time.pass_(5)
    rig.do(ops.Complete(task_id=task_id, lease=grant.lease))
    rig.add("/b")
    return task_id


ALL = ["created", "claimed", "failed", "retried", "claimed", "completed"]


def test_the_history_of_a_task_is_whole_and_in_order(rig: Rig) -> None:
    task_id = lived(rig)
    assert history(rig, task_id) == (ALL, True)
    assert history(rig, task_id, limit=2) == (ALL[-2:], False)
    assert history(rig, task_id, visible=PathScope((Pattern("/b", below=True),))) == ([], False)


def test_of_a_long_life_what_has_a_time_is_found(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "MOST_LOOKED_AT", 4)
    task_id = lived(rig)
    found, complete = history(rig, task_id)
    assert not complete
    assert [kind for kind in ALL if kind in found] == [kind for kind in ALL if kind != "retried" or kind in found]
    assert {"created", "claimed", "failed", "completed"} <= set(found)


def test_a_history_whose_beginning_is_forgotten_says_so(rig: Rig) -> None:
    task_id = lived(rig)
    rig._runner.run(meddle(rig.store, "DELETE FROM events WHERE task_id > 1 AND id < (SELECT max(id) - 1 FROM events)"))
    found, complete = history(rig, task_id)
    assert found == ["completed"]
    assert not complete


def graph(rig: Rig, task_id: int, *, depth: int = 3, limit: int = 100, visible: PathScope = EVERYWHERE) -> Any:
    return read(rig, rig.store.reads.graph(task_id, depth, limit, visible))


def test_a_graph_has_what_is_before_and_after_a_task(rig: Rig) -> None:
    first, second = rig.add("/a"), rig.add("/secret")
    middle = rig.add("/a", depends_on=(first, second))
    after = [rig.add("/a", depends_on=(middle,)) for _ in range(3)]
    last = rig.add("/a", depends_on=(after[0], after[1]))
    for _ in (1, 2):
        for path in ("/a", "/secret"):
            for grant in rig.claim(path):
                rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    found = graph(rig, middle)
    assert {node.id for node in found.nodes} == {first, second, middle, *after, last}
    assert {(edge.parent, edge.child): edge.satisfied for edge in found.edges} == {
        (first, middle): True, (second, middle): True, **{(middle, one): True for one in after},
        (after[0], last): False, (after[1], last): False,
    }  # fmt: skip
    assert found.complete
    near = graph(rig, middle, depth=1)
    assert last not in {node.id for node in near.nodes}
    assert not near.complete
    few = graph(rig, middle, limit=3)
    assert len(few.nodes) == 3
    assert not few.complete
    limited = graph(rig, middle, visible=PathScope((Pattern("/a", below=True),)))
    assert second not in {node.id for node in limited.nodes}
    assert all(second not in (edge.parent, edge.child) for edge in limited.edges)
    assert graph(rig, middle, visible=PathScope((Pattern("/b", below=True),))) is None


def test_output_is_found_by_lease_and_by_words(rig: Rig) -> None:
    task_id = rig.add("/a")
    for round_ in (1, 2):
        (grant,) = rig.claim("/a")
        lines = tuple(ops.LogLine(f"round {round_} line {line} 100% Größe", LogStream.STDOUT, None) for line in range(5))
        rig.do(ops.AppendLogs(task_id=task_id, lease=grant.lease, lines=lines, first_line=None))
        rig.do(ops.Fail(task_id=task_id, lease=grant.lease, error="{}", retryable=False))
        rig.do(ops.Retry(task_id=task_id))
    leases = read(rig, rig.store.reads.log_leases(task_id))
    assert [(one.first_line, one.last_line) for one in leases] == [(1, 5), (6, 10)]
    assert read(rig, rig.store.reads.log_leases(rig.add("/a"))) == []

    def hits(words: str, after: int = 0, until: int = 100, limit: int = 100) -> list[int]:
        return read(rig, rig.store.reads.log_hits(task_id, words, after, until, limit))

    assert hits("ROUND 2") == [6, 7, 8, 9, 10]
    assert hits("line 3") == [4, 9]
    assert hits("line 3", after=4) == [9]
    assert hits("100%", limit=3) == [1, 2, 3]
    assert hits("1_0%") == []
    assert hits("Größe", until=2) == [1, 2]
    assert hits("GRÖSSE") == []
