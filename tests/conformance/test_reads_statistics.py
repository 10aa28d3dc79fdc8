"""Statistics, gauges and directories: the rollups say what a recount says."""

from collections import Counter

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.store.reads import Reads
from orchestrator.telemetry.metrics import Metrics
from tests.reading import read
from tests.rig import HOUR, MINUTE, START, Rig
from worker_client.contract.directories import ListDirectories
from worker_client.contract.enums import Status
from worker_client.contract.statistics import Statistics

BELOW_A = PathScope((Pattern("/a", below=True),))
NOBODY = PathScope(())


def statistics(rig: Rig, visible: PathScope = EVERYWHERE) -> Statistics:
    return read(rig, rig.store.reads.statistics(rig.time.at, visible))


def completed(rig: Rig, path: str, took: int) -> None:
    grant = rig.running(path, lease_ms=2 * HOUR, timeout_ms=2 * HOUR)
    rig.time.pass_(took)
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))


def test_an_empty_queue_has_zeros(rig: Rig) -> None:
    found = statistics(rig)
    assert found.by_status == dict.fromkeys(map(str, Status), 0)
    assert found.by_priority == {"low": 0, "normal": 0, "high": 0, "urgent": 0}
    assert (found.total, found.by_directory, found.oldest_waiting_at, found.durations.p50_ms) == (0, [], None, None)
    assert [window.created for window in found.throughput.values()] == [0, 0, 0]


def test_tasks_are_counted_by_status_priority_and_directory(rig: Rig) -> None:
    for path, priority in (("/a", 0), ("/a", 1), ("/a", 3), ("/a/b", 1), ("/b", 1)):
        rig.add(path, priority=priority)
    rig.add("/b", delay_ms=HOUR, host="box")
    completed(rig, "/a/b/c", 10)
    found = statistics(rig)
    assert found.total == 7
    assert {name: n for name, n in found.by_status.items() if n} == {"waiting": 5, "scheduled": 1, "completed": 1}
    assert found.by_priority == {"low": 1, "normal": 5, "high": 0, "urgent": 1}
    assert [(row.work_directory, row.host, row.total, row.by_status) for row in found.by_directory] == [
        ("/a", "", 3, {"waiting": 3}),
        ("/a/b", "", 1, {"waiting": 1}),
        ("/a/b/c", "", 1, {"completed": 1}),
        ("/b", "", 1, {"waiting": 1}),
        ("/b", "box", 1, {"scheduled": 1}),
    ]
    scoped = statistics(rig, BELOW_A)
    assert (scoped.total, scoped.by_status["scheduled"], scoped.durations.count) == (5, 0, 1)
    assert [row.work_directory for row in scoped.by_directory] == ["/a", "/a/b", "/a/b/c"]
    assert (scoped.throughput["1m"].created, scoped.throughput["1m"].completed) == (5, 1)
    assert statistics(rig, NOBODY).total == 0


def test_the_oldest_is_found_behind_higher_priorities(rig: Rig) -> None:
    oldest = rig.add("/a", priority=0)
    rig.time.pass_(2000)
    rig.add("/a", priority=3)
    rig.add("/a", kind="script", priority=1)
    rig.add("/b")
    rig.time.pass_(500)
    found = statistics(rig)
    assert (found.oldest_waiting_at, found.oldest_waiting_seconds) == (moment(START), 2.5)
    assert {row.work_directory: row.oldest_waiting_seconds for row in found.by_directory} == {"/a": 2.5, "/b": 0.5}
    rig.do(ops.Cancel(task_id=oldest))
    found = statistics(rig)
    assert found.oldest_waiting_seconds == 0.5
    assert statistics(rig, PathScope((Pattern("/b", below=False),))).oldest_waiting_seconds == 0.5


def test_the_oldest_is_counted_from_when_it_became_ready(rig: Rig) -> None:
    rig.add("/a", delay_ms=5000)
    rig.time.pass_(2000)
    rig.add("/a")
    rig.pass_(4000)
    assert statistics(rig).oldest_waiting_seconds == 4.0


def test_throughput_forgets(rig: Rig) -> None:
    def created() -> list[int]:
        return [window.created for window in statistics(rig).throughput.values()]

    rig.add()
    rig.add()
    assert created() == [2, 2, 2]
    rig.time.pass_(2 * MINUTE)
    rig.add()
    assert created() == [1, 3, 3]
    rig.time.pass_(HOUR)
    assert created() == [0, 1, 3]
    rig.time.pass_(23 * HOUR)
    assert created() == [0, 0, 1]
    window = statistics(rig).throughput["1m"]
    assert 60 <= window.seconds < 120


def test_what_is_kept_from_earlier_reads_is_what_a_new_reader_finds(rig: Rig) -> None:
    for step in range(40):
        completed(rig, ("/a", "/a/b", "/c")[step % 3], 1 + step * 1000)
        rig.time.pass_((step % 7) * MINUTE)
        for visible in (EVERYWHERE, BELOW_A):
            kept = statistics(rig, visible)
            assert rig.store._pool is not None
            assert kept == read(rig, Reads(rig.store._pool.fetch, rig.store.reads._dialect).statistics(rig.time.at, visible))


def test_many_scopes_are_not_all_kept(rig: Rig) -> None:
    rig.add("/s1")
    for number in [*range(70), 1]:
        found = statistics(rig, PathScope((Pattern(f"/s{number}", below=False),)))
        assert found.throughput["1h"].created == (number == 1)
    assert len(rig.store.reads._rates._scopes) == 64


def test_durations_are_within_five_percent(rig: Rig) -> None:
    for _ in range(10):
        completed(rig, "/a", 1000)
    completed(rig, "/a", 60_000)
    found = statistics(rig).durations
    assert found.count == 11
    assert found.p50_ms == pytest.approx(1000, rel=0.05)
    assert found.p99_ms == pytest.approx(60_000, rel=0.05)
    rig.time.pass_(26 * HOUR)
    assert statistics(rig).durations.count == 0


def test_gauges_sum_up_what_is_beyond_the_largest(rig: Rig) -> None:
    rig.add("/first")
    rig.time.pass_(3000)
    for number in range(60):
        for _ in range(1 + (number < 10)):
            rig.add(f"/d{number:02}")
    rig.add("/d00", delay_ms=HOUR)
    rig.time.pass_(1000)
    assert read(rig, rig.store.reads.waiting()) == 71
    found = read(rig, rig.store.reads.snapshot(rig.time.at))
    assert (found.by_status["waiting"], found.by_status["scheduled"]) == (71, 1)
    assert len(found.directories) == 50
    assert sum(row.waiting for row in found.directories) == 71
    assert [row.work_directory for row in found.directories[:2]] == ["/d00", "/d01"]
    other = found.directories[-1]
    assert (other.work_directory, other.oldest_seconds) == ("other", 4.0)
    lines = Metrics("1").render(found).decode().splitlines()
    shown = Counter(line.rpartition(" ")[0] for line in lines if line.startswith("waiting_tasks{"))
    assert len(shown) == 50
    assert set(shown.values()) == {1}


def test_few_directories_are_all_shown(rig: Rig) -> None:
    rig.add("/a")
    found = read(rig, rig.store.reads.snapshot(rig.time.at))
    assert [(row.work_directory, row.waiting, row.oldest_seconds) for row in found.directories] == [("/a", 1, 0)]


def test_directories_have_tasks_or_settings(rig: Rig) -> None:
    reads = rig.store.reads
    rig.add("/a")
    rig.add("/a/b", host="box")
    gone = rig.add("/gone")
    rig.do(ops.Delete(task_id=gone))
    rig.do(ops.SetDirectory(path="/a", paused=True, reason="tidying"))
    rig.do(ops.SetDirectory(path="/set", max_running=2))
    every = read(rig, reads.directories(ListDirectories(), EVERYWHERE))
    assert every.total == 3
    assert [(row.work_directory, row.host, row.paused, row.reason, row.max_running, row.by_status) for row in every.items] == [
        ("/a", "", True, "tidying", None, {"waiting": 1}),
        ("/a/b", "box", False, None, None, {"waiting": 1}),
        ("/set", "", False, None, 2, {}),
    ]
    assert [row.updated_at for row in every.items] == [moment(START), None, moment(START)]
    page = read(rig, reads.directories(ListDirectories(limit=1, offset=1), EVERYWHERE))
    assert ([row.work_directory for row in page.items], page.total) == (["/a/b"], 3)
    one = read(rig, reads.directories(ListDirectories(work_path="/a", recursive=False), EVERYWHERE))
    assert [row.work_directory for row in one.items] == ["/a"]
    scoped = read(rig, reads.directories(ListDirectories(), BELOW_A))
    assert ([row.work_directory for row in scoped.items], scoped.total) == (["/a", "/a/b"], 2)
    assert read(rig, reads.directories(ListDirectories(work_path="/set"), BELOW_A)).items == []
    assert read(rig, reads.directories(ListDirectories(), NOBODY)).total == 0
    set_ = read(rig, reads.directory("/set", "", EVERYWHERE))
    assert set_ is not None
    assert set_.max_running == 2
    assert read(rig, reads.directory("/a/b", "", EVERYWHERE)) is None
    assert read(rig, reads.directory("/set", "", BELOW_A)) is None
