"""Lists of tasks: every filter, in every order of looking, gives what a look at each task gives."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.paths import contains
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.domain.task import Inputs, TaskView
from orchestrator.store.reads import driving
from orchestrator.store.reads.values import PRIORITIES
from tests.reading import read
from tests.rig import START, Rig
from tests.searching import has_words
from worker_client.contract.enums import LogStream, Priority, Status
from worker_client.contract.tasks import ListTasks, TaskFilter
from worker_client.errors import ValidationFailed

T = TypeVar("T")
PATHS = ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/b", "C:\\", "C:\\x"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def filled(rig: Rig) -> None:
    """A few hundred tasks in all states, with all that filters ask about."""
    chance = random.Random(7)
    for _ in range(300):
        rig.time.pass_(chance.choice((0, 1, 10)))
        rig.add(
            chance.choice(PATHS),
            kind=chance.choice(("agent", "script")),
            title=chance.choice((None, "Fix it", "100%", "under_score")),
            priority=chance.randrange(4),
            tags=tuple(tag for tag in ("x", "y", "z") if chance.random() < 0.4),
            inputs=Inputs(prompt=chance.choice(("do", "do it", "Back\\slash"))),
            delay_ms=chance.choice((None, None, 10**9)),
            requires_approval=chance.random() < 0.1,
            schedule_id=chance.choice((None, 1, 2)),
            run_id=chance.choice((None, 1, 2)),
            workflow_id=chance.choice((None, "w")),
        )
    for worker in ("w1", "w2"):
        for grant in rig.claim(*PATHS, worker=worker, limit=80, kinds=("agent", "script")):
            ends: list[Callable[[int, str], ops.Operation]] = [
                lambda task_id, lease: ops.Complete(task_id=task_id, lease=lease),
                lambda task_id, lease: ops.Fail(task_id=task_id, lease=lease, error="{}", retryable=False),
                lambda task_id, lease: ops.Park(task_id=task_id, lease=lease, hold="question"),
                lambda task_id, _: ops.Cancel(task_id=task_id),
                lambda task_id, lease: ops.Heartbeat(task_id=task_id, lease=lease),
            ]
            rig.do(chance.choice(ends)(grant.task_id, grant.lease))
    for task_id in range(1, 300, 17):
        rig.outcomes(ops.Cancel(task_id=task_id))
    for path in ("/a", "/b"):
        rig.add(path, depends_on=(rig.add(path, delay_ms=10**9),))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("reads"))
    filled(rig)
    yield rig
    rig.close()


def lies(path: str, wanted: list[str] | None, *, recursive: bool) -> bool:
    return wanted is None or any(contains(outer, path) if recursive else outer == path for outer in wanted)


def matches(view: TaskView, where: TaskFilter, visible: PathScope) -> bool:
    """The filter once more, task by task."""
    head = view.head
    return (
        visible.covers(head.path)
        and (where.status is None or head.status in where.status)
        and (where.priority is None or PRIORITIES[head.priority] in where.priority)
        and (where.kind is None or head.kind in where.kind)
        and set(where.tag or ()) <= set(head.tags)
        and lies(head.path, where.work_path, recursive=where.recursive)
        and where.worker_id in {None, head.worker_id}
        and where.schedule_id in {None, head.schedule_id}
        and where.workflow_id in {None, head.workflow_id}
        and where.run_id in {None, head.run_id}
        and (not where.q or has_words(view, where.q))
        and (where.created_after is None or moment(head.created_at) >= where.created_after)
        and (where.created_before is None or moment(head.created_at) < where.created_before)
    )


def some(chance: random.Random, values: list[T]) -> list[T] | None:
    return chance.sample(values, chance.randrange(1, len(values))) if chance.random() < 0.3 else None


def any_filter(chance: random.Random) -> TaskFilter:
    def sometimes(value: T) -> T | None:
        return value if chance.random() < 0.1 else None

    after = sometimes(moment(START + chance.randrange(1000)) + timedelta(microseconds=chance.choice((0, 1))))
    return TaskFilter(
        status=some(chance, list(Status)),
        priority=some(chance, list(Priority)),
        kind=some(chance, ["agent", "script", "none"]),
        tag=some(chance, ["x", "y", "z"]),
        work_path=some(chance, [*PATHS, "/none"]),
        recursive=chance.random() < 0.5,
        worker_id=sometimes("w1"),
        schedule_id=sometimes(1),
        workflow_id=sometimes("w"),
        run_id=sometimes(2),
        q=sometimes(chance.choice(("FIX", "100%", "under_s", "_", "back\\sl", "do it"))),
        created_after=after,
        created_before=sometimes(moment(START + chance.randrange(2000))),
    )


def any_scope(chance: random.Random) -> PathScope:
    if chance.random() < 0.5:
        return EVERYWHERE
    return PathScope(tuple(Pattern(path, chance.random() < 0.5) for path in chance.sample(PATHS, chance.randrange(4))))


def listing(where: TaskFilter, **page: int | str) -> ListTasks:
    return ListTasks(**{name: getattr(where, name) for name in TaskFilter.__struct_fields__}, **page)  # type: ignore[arg-type]


@pytest.mark.parametrize(("counted", "arms"), [(10_000, 100), (20, 100), (10_000, 1)])
def test_a_filter_finds_what_a_look_at_each_task_finds(
    full: Rig, counted: int, arms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which index is used follows from how many tasks there are: low bounds bring all of them into play.
    monkeypatch.setattr(driving, "COUNTED", counted)
    monkeypatch.setattr(driving, "_MOST_ARMS", arms)
    reads = full.store.reads
    everything = read(full, reads.tasks(ListTasks(limit=1000), EVERYWHERE)).items
    assert {view.head.status for view in everything} == set(Status)
    chance = random.Random(counted + arms)
    for _ in range(250):
        where, visible = any_filter(chance), any_scope(chance)
        expected = [view.head.id for view in everything if matches(view, where, visible)]
        found: list[int] = []
        cursor = None
        while True:
            page = read(full, reads.tasks(replace(listing(where, limit=37), cursor=cursor), visible))
            assert page.total == (len(expected) if where.q else min(len(expected), counted + 1))
            found += [view.head.id for view in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == expected, (where, visible)
        skipped = read(full, reads.tasks(listing(where, limit=5, offset=3), visible))
        assert [view.head.id for view in skipped.items] == expected[3:8]
        statuses = chance.sample(list(Status), chance.randrange(0, 4))
        ids = read(full, reads.task_ids(where, visible, statuses=statuses, after=50, limit=20))
        assert ids == [
            view.head.id for view in reversed(everything)
            if view.head.id > 50 and view.head.status in statuses and matches(view, where, visible)
        ][:20]  # fmt: skip


def test_a_long_list_is_counted_no_further_than_it_must(full: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "COUNTED", 10)
    monkeypatch.setattr("orchestrator.store.reads.values.COUNTED", 10)
    page = read(full, full.store.reads.tasks(ListTasks(limit=1), EVERYWHERE))
    assert (page.total, page.total_exact) == (10, False)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "dDI-", "ZTE", "dC0x", "dDFh", "\u00e9", "dDk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "dDk5OTk5OTk5OTk5OTk5OTk5OTk"],
)
def test_what_is_no_cursor_is_refused(rig: Rig, cursor: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(rig, rig.store.reads.tasks(ListTasks(cursor=cursor), EVERYWHERE))
    assert refusal.value.details["field"] == "cursor"


def test_a_cursor_and_an_offset_contradict_each_other(rig: Rig) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(rig, rig.store.reads.tasks(ListTasks(cursor="dDI", offset=1), EVERYWHERE))
    assert refusal.value.details["field"] == "offset"


def test_a_task_outside_of_the_scope_is_not_there(rig: Rig) -> None:
    task_id = rig.add("/a/b")
    reads = rig.store.reads
    for path, below, there in (("/a", True, True), ("/a/b", False, True), ("/a", False, False), ("/b", True, False)):
        visible = PathScope((Pattern(path, below),))
        assert (read(rig, reads.task(task_id, visible)) is not None) == there
        assert (read(rig, reads.attempts_of(task_id, visible)) is not None) == there
        assert (read(rig, reads.logs(task_id, 0, 10, visible)) is not None) == there
    assert read(rig, reads.task(task_id + 1, EVERYWHERE)) is None
    assert read(rig, reads.logs(task_id + 1, 0, 10, EVERYWHERE)) is None


def test_a_task_shows_what_went_in_and_what_came_out(rig: Rig) -> None:
    grant = rig.running(inputs=Inputs(prompt="p", spec='{"a": 1}'))
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, result='{"b": 2}'))
    view = read(rig, rig.store.reads.task(grant.task_id, EVERYWHERE))
    assert view is not None
    assert (view.head.status, view.inputs.spec, view.outputs.result) == (Status.COMPLETED, '{"a": 1}', '{"b": 2}')


def log(rig: Rig, task_id: int, lease: str, texts: list[str]) -> None:
    lines = tuple(ops.LogLine(text, LogStream.STDERR, None) for text in texts)
    rig.do(ops.AppendLogs(task_id=task_id, lease=lease, lines=lines))


def test_output_is_read_on_until_it_is_final(rig: Rig) -> None:
    reads = rig.store.reads
    first = rig.running()
    log(rig, first.task_id, first.lease, ["one", "two", "three"])
    page = read(rig, reads.logs(first.task_id, 0, 2, EVERYWHERE))
    assert page is not None
    assert [(line.number, line.lease_no, line.stream, line.text) for line in page.lines] == [
        (1, 1, LogStream.STDERR, "one"),
        (2, 1, LogStream.STDERR, "two"),
    ]
    assert (page.next_after, page.final) == (2, False)
    rig.do(ops.Release(task_id=first.task_id, lease=first.lease))
    second = rig.take()
    log(rig, second.task_id, second.lease, ["four"])
    rig.do(ops.Complete(task_id=second.task_id, lease=second.lease))
    page = read(rig, reads.logs(first.task_id, page.next_after, 10, EVERYWHERE))
    assert page is not None
    assert [(line.number, line.lease_no, line.text) for line in page.lines] == [(3, 1, "three"), (4, 2, "four")]
    assert (page.next_after, page.final) == (4, True)
    page = read(rig, reads.logs(first.task_id, 4, 10, EVERYWHERE))
    assert page is not None
    assert (page.lines, page.next_after, page.final) == ([], 4, True)


def test_a_page_of_long_lines_ends_early(rig: Rig) -> None:
    grant = rig.running()
    for _ in range(3):
        log(rig, grant.task_id, grant.lease, ["x" * 10_000] * 500)
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    after, pages = 0, 0
    while True:
        page = read(rig, rig.store.reads.logs(grant.task_id, after, 10_000, EVERYWHERE))
        assert page is not None
        pages += 1
        after = page.next_after
        if page.final:
            break
        assert 0 < len(page.lines) <= 1000
    assert (after, pages > 1) == (1500, True)


def test_those_that_wait_for_a_task_are_found_until_it_is_done(rig: Rig) -> None:
    first, other = rig.add("/a"), rig.add("/b")
    waiting = [rig.add("/c", depends_on=(first,)), rig.add("/d", depends_on=(first, other))]

    def found(of: int, visible: PathScope = EVERYWHERE) -> list[int]:
        page = read(rig, rig.store.reads.tasks(ListTasks(waits_for=of, status=[Status.BLOCKED]), visible))
        return sorted(view.head.id for view in page.items)

    assert found(first) == waiting
    assert found(first, PathScope((Pattern("/c", below=False),))) == waiting[:1]
    assert found(other) == waiting[1:]
    (grant,) = rig.claim("/a")
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    assert found(first) == []
    assert found(other) == waiting[1:]


def test_the_last_line_of_output_is_known(rig: Rig) -> None:
    task_id = rig.add("/a")
    assert read(rig, rig.store.reads.last_line(task_id, EVERYWHERE)) == 0
    (grant,) = rig.claim("/a")
    lines = tuple(ops.LogLine(str(number), LogStream.STDOUT, None) for number in range(3))
    rig.do(ops.AppendLogs(task_id=task_id, lease=grant.lease, lines=lines, first_line=1))
    assert read(rig, rig.store.reads.last_line(task_id, EVERYWHERE)) == 3
    assert read(rig, rig.store.reads.last_line(task_id, PathScope((Pattern("/b", below=True),)))) == 0
