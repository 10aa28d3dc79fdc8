"""What those read who look often: figures, series, directories that wait, last lines, tasks without what is long."""

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.domain.task import Inputs, Outputs
from orchestrator.store.reads.now import Waits
from tests.reading import read
from tests.rig import MINUTE, START, Rig
from worker_client.contract.directories import ListWaiting
from worker_client.contract.enums import LogStream, Status
from worker_client.contract.statistics import ReadSeries
from worker_client.contract.tasks import ListTasks

MINE = PathScope((Pattern("/mine", below=True),))


def waits(rig: Rig, visible: PathScope = EVERYWHERE, offset: int = 0, **query: object) -> list[Waits]:
    return read(rig, rig.store.reads.waiting_in(ListWaiting(**query), offset, visible)).items  # type: ignore[arg-type]


def held(rig: Rig, path: str, hold: str) -> int:
    task_id = rig.add(path)
    rig.do(ops.Park(task_id=task_id, lease=rig.claim(path)[0].lease, hold=hold, usage='{"cost_usd": 1.5}'))
    return task_id


def said(rig: Rig, task_id: int, lease: str, *lines: str) -> None:
    rig.do(ops.AppendLogs(task_id=task_id, lease=lease, lines=tuple(ops.LogLine(line, LogStream.STDOUT, None) for line in lines)))


def test_figures_count_what_needs_a_person(rig: Rig) -> None:
    asks = held(rig, "/mine/a", "question")
    held(rig, "/b", "quota")
    approval = rig.add("/b", requires_approval=True)
    rig.add("/b")
    found = read(rig, rig.store.reads.statistics_now(rig.time.at, EVERYWHERE))
    assert (found.by_status["parked"], found.by_status["waiting"], found.needs_person) == (3, 1, 2)
    assert found.throughput["1h"].created == 4
    assert found.used_today.cost_usd == 3
    assert read(rig, rig.store.reads.statistics_now(rig.time.at, MINE)).needs_person == 1
    listed = read(rig, rig.store.reads.tasks(ListTasks(needs_person=True), EVERYWHERE))
    assert [view.head.id for view in listed.items] == [approval, asks]
    none = read(rig, rig.store.reads.tasks(ListTasks(needs_person=True, status=[Status.WAITING]), EVERYWHERE))
    assert none.items == []


def test_series_have_every_minute_and_every_hour(rig: Rig) -> None:
    for _ in range(2):
        task = rig.add("/a")
        lease = rig.claim("/a")[0].lease
        rig.time.pass_(2 * MINUTE)
        rig.do(ops.Complete(task_id=task, lease=lease))
    found = read(rig, rig.store.reads.series(ReadSeries(minutes=5, hours=3), rig.time.at, EVERYWHERE))
    assert [minute.completed for minute in found.minutes] == [0, 0, 1, 0, 1]
    assert [minute.created for minute in found.minutes] == [1, 0, 1, 0, 0]
    assert (found.minutes[-1].at.timestamp() * 1000) == rig.time.at // MINUTE * MINUTE
    assert [hour.count for hour in found.hours] == [0, 0, 2]
    assert abs((found.hours[-1].p50_ms or 0) - 2 * MINUTE) < 0.05 * 2 * MINUTE
    assert found.hours[0].p50_ms is None
    assert sum(one.created for one in read(rig, rig.store.reads.series(ReadSeries(), rig.time.at, MINE)).minutes) == 0


def test_directories_that_wait_come_with_their_next_task(rig: Rig) -> None:
    rig.add("/busy")
    rig.claim("/busy")
    for _ in range(3):
        rig.add("/busy")
    first = rig.add("/mine/idle", inputs=Inputs(prompt="x" * 1000))
    rig.time.pass_(MINUTE)
    rig.add("/mine/idle", kind="script")
    urgent = rig.add("/mine/mixed", priority=0)
    rig.time.pass_(1)
    best = rig.add("/mine/mixed", priority=3, host="")
    rig.add("/done", delay_ms=MINUTE)
    found = waits(rig)
    assert [(one.path, one.waiting, one.running) for one in found] == [
        ("/mine/idle", 2, 0),
        ("/mine/mixed", 2, 0),
        ("/busy", 3, 1),
    ]
    assert [one.head and one.head.id for one in found[:2]] == [first, best]
    assert found[0].prompt == "x" * 200
    assert found[0].oldest_at == START
    assert found[1].oldest_at == START + MINUTE
    assert urgent < best
    assert [one.path for one in waits(rig, MINE)] == ["/mine/idle", "/mine/mixed"]
    assert [one.path for one in waits(rig, work_path=["/busy"])] == ["/busy"]
    assert [one.path for one in waits(rig, offset=1, limit=1)] == ["/mine/mixed", "/busy"]
    assert waits(rig, work_path=["/none"]) == []


def test_last_lines_are_those_with_something_in_them(rig: Rig) -> None:
    tasks = []
    for path in ("/mine/a", "/b", "/c"):
        task = rig.add(path)
        lease = rig.claim(path)[0].lease
        tasks.append(task)
        if path != "/c":
            said(rig, task, lease, "first", "y" * 900, "", "  ")
    found = read(rig, rig.store.reads.last_output([*tasks, 10**9], EVERYWHERE))
    assert [(line.task_id, line.number, line.text, line.lease_no) for line in found] == [
        (tasks[0], 2, "y" * 500, 1),
        (tasks[1], 2, "y" * 500, 1),
    ]
    assert [line.task_id for line in read(rig, rig.store.reads.last_output(tasks, MINE))] == [tasks[0]]


def test_an_excerpt_leaves_out_what_is_long(rig: Rig) -> None:
    task = rig.add("/a", inputs=Inputs(prompt="p" * 50, description="d" * 50, spec='{"a":1}', metadata='{"b":2}'))
    lease = rig.claim("/a")[0].lease
    rig.do(ops.Heartbeat(task_id=task, lease=lease, outputs=Outputs(progress='{"percent":5}', checkpoint='{"c":3}')))
    (view,) = read(rig, rig.store.reads.tasks(ListTasks(excerpt=10), EVERYWHERE)).items
    assert (view.inputs.prompt, view.inputs.description) == ("p" * 10, "d" * 10)
    assert (view.inputs.spec, view.inputs.metadata, view.outputs.checkpoint) == (None, "{}", None)
    assert view.outputs.progress == '{"percent":5}'
    (whole,) = read(rig, rig.store.reads.tasks(ListTasks(), EVERYWHERE)).items
    assert whole.inputs.prompt == "p" * 50
