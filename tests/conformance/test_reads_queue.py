"""Who holds what, what is in a task's way, and the feed on disk."""

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.store.reads import Obstacles, Overlap, Parent
from tests.reading import read
from tests.rig import START, Rig
from worker_client.contract.enums import Status

BELOW_A = PathScope((Pattern("/a", below=True),))


def obstacles(rig: Rig, task_id: int) -> Obstacles:
    return read(rig, rig.store.reads.obstacles(rig.head(task_id), rig.time.at))


def test_leases_are_told_by_worker(rig: Rig) -> None:
    rig.add("/b", title="second")
    rig.add("/a/b")
    rig.take("/b", worker="w2", account="team")
    rig.take("/a/b", worker="w1", host="box", exclusive=True)
    rig.add("/a")
    every = read(rig, rig.store.reads.holdings(EVERYWHERE))
    assert [(held.worker_id, held.host, held.account) for held in every] == [("w1", "box", None), ("w2", "", "team")]
    first, second = (held.holding for held in every)
    assert (first.task_id, first.work_directory, first.exclusive, second.title, second.exclusive) == (
        2,
        "/a/b",
        True,
        "second",
        False,
    )
    assert (first.started_at, first.lease_expires_at) == (moment(START), moment(START + 10_000))
    assert [held.worker_id for held in read(rig, rig.store.reads.holdings(BELOW_A))] == ["w1"]
    assert read(rig, rig.store.reads.holdings(PathScope(()))) == []


def test_a_task_alone_has_nothing_in_its_way(rig: Rig) -> None:
    assert obstacles(rig, rig.add()) == Obstacles([], [], [])


def test_open_parents_are_in_the_way(rig: Rig) -> None:
    done, open_ = rig.running("/p"), rig.add("/p/q")
    child = rig.add("/c", depends_on=(done.task_id, open_))
    assert obstacles(rig, child).parents == [
        Parent(done.task_id, Status.RUNNING, "/p"), Parent(open_, Status.WAITING, "/p/q")
    ]  # fmt: skip
    rig.do(ops.Complete(task_id=done.task_id, lease=done.lease))
    assert obstacles(rig, child).parents == [Parent(open_, Status.WAITING, "/p/q")]


def test_only_leases_that_exclude_are_in_the_way(rig: Rig) -> None:
    shared, exclusive, script = rig.add("/a/b"), rig.add("/a/b", exclusive=True), rig.add("/a/b", kind="http")
    above = rig.running("/a", host="box")
    below = rig.running("/a/b/c")
    rig.running("/a/bc")
    ends = START + 10_000
    over = [Overlap(above.task_id, "/a", "box", exclusive=False, ends_at=ends), Overlap(below.task_id, "/a/b/c", "", False, ends)]
    assert obstacles(rig, exclusive).leases == over
    assert obstacles(rig, shared).leases == []
    elsewhere = rig.add("/a/b", exclusive=True, host="other")
    assert obstacles(rig, elsewhere).leases == over[1:]
    for grant in (above, below):
        rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    whole = rig.running("/a/b/d", exclusive=True)
    assert obstacles(rig, shared).leases == [Overlap(whole.task_id, "/a/b/d", "", exclusive=True, ends_at=ends)]
    assert obstacles(rig, script).leases == []


def test_settings_over_a_directory_are_told_with_what_runs_below(rig: Rig) -> None:
    task_id = rig.add("/a/b")
    for path, host, facts in (
        ("/", "", {"paused": True}),
        ("/a", "box", {"max_running": 1}),
        ("/a/b/c", "", {"paused": True}),
        ("/a/b", "", {"paused": False}),
    ):
        rig.do(ops.SetDirectory(path=path, host=host, **facts))
    rig.do(ops.SetDirectory(path="/", paused=False, max_running=5))
    rig.running("/x")
    rig.running("/a/z", host="box")
    bounds = obstacles(rig, task_id).bounds
    assert [(bound.setting.path, bound.setting.host, bound.setting.max_running, bound.running) for bound in bounds] == [
        ("/", "", 5, 2),
        ("/a", "box", 1, 1),
    ]
    assert [bound.setting.path for bound in obstacles(rig, rig.add("/a/b", host="other")).bounds] == ["/"]
    assert read(rig, rig.store.reads.running()) == 2


def test_events_are_read_on_in_order(rig: Rig) -> None:
    reads = rig.store.reads
    assert read(rig, reads.event_bounds()) == (1, 0)
    for path in ("/a", "/b", "/a/b"):
        rig.add(path)
    assert read(rig, reads.event_bounds()) == (1, 3)
    assert read(rig, reads.events(0, 10, EVERYWHERE)) == rig.events
    assert read(rig, reads.events(1, 1, EVERYWHERE)) == rig.events[1:2]
    assert [event.path for event in read(rig, reads.events(0, 10, BELOW_A))] == ["/a", "/a/b"]
    assert read(rig, reads.events(3, 10, EVERYWHERE)) == []
    read(rig, reads.ping())
