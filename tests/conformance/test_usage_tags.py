"""The ledger of tags: what a task used counts once for each tag it has then, in the transaction that tells it."""

import json
import random
from collections import Counter
from typing import Any, Final

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import DAY
from orchestrator.domain.outcomes import Grant
from orchestrator.domain.principal import EVERYWHERE, SYSTEM, PathScope, Pattern
from orchestrator.domain.task import Outputs
from orchestrator.store.reads.values import Listing
from tests.reading import read
from tests.rig import HOUR, Rig
from worker_client.contract.enums import Status
from worker_client.contract.reports import MOST, MOST_USD
from worker_client.contract.usage import ListUsage, UsageBy, UsageRow, UsageSort
from worker_client.errors import LeaseLost, ValidationFailed

BY_TAG: Final = [UsageBy.TAG]
BELOW_A: Final = PathScope((Pattern("/a", below=True),))
ODD: Final = (
    "é", "e\u0301", "É", "任务", "\U0001f600" * 100, "'; DROP TABLE tag_usage; --", " ", "a,b", "%", "\u202ex", "null", "x" * 100,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _noon(rig: Rig) -> None:
    rig.time.at = rig.time.at // DAY * DAY + DAY // 2


def usage(tokens: int, **facts: Any) -> str:
    return json.dumps({"input_tokens": tokens, "cost_usd": tokens / 1000, **facts})


def beat(rig: Rig, grant: Grant, tokens: int) -> None:
    rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=Outputs(usage_now=usage(tokens))))


def complete(rig: Rig, grant: Grant, tokens: int | None = None, **facts: Any) -> None:
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=None if tokens is None else usage(tokens, **facts)))


def ledger(rig: Rig) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """(path, tag) to (attempts, input tokens, thousandths of a dollar), over all days."""
    rows = rig.fetch("SELECT path, tag, sum(attempts), sum(input_tokens), sum(micros) FROM tag_usage GROUP BY path, tag")
    return {(path, tag): (int(attempts), int(tokens), int(micros) // 1000) for path, tag, attempts, tokens, micros in rows}


def listed(rig: Rig, visible: PathScope = EVERYWHERE, **query: Any) -> Listing[UsageRow]:
    return read(rig, rig.store.reads.usage(ListUsage(**query), visible))


def tokens_by_tag(rig: Rig, visible: PathScope = EVERYWHERE, **query: Any) -> list[tuple[str | None, int]]:
    return [(row.tag, row.input_tokens) for row in listed(rig, visible, by=BY_TAG, **query).items]


def test_each_tag_of_a_task_has_all_of_what_it_used_and_no_tag_nothing(rig: Rig) -> None:
    complete(rig, rig.running(tags=("web", "night")), 30)
    complete(rig, rig.running(tags=("web",)), 4)
    complete(rig, rig.running(), 100)
    assert ledger(rig) == {("/a", "night"): (1, 30, 30), ("/a", "web"): (2, 34, 34)}


def test_reports_are_cumulative_and_what_falls_takes_nothing_back(rig: Rig) -> None:
    grant = rig.running(tags=("t",), lease_ms=HOUR)
    for tokens in (10, 30, 30, 20):
        beat(rig, grant, tokens)
    assert ledger(rig) == {("/a", "t"): (0, 30, 30)}
    complete(rig, grant, 35)
    assert ledger(rig) == {("/a", "t"): (1, 35, 35)}
    with pytest.raises(LeaseLost):
        complete(rig, replace(grant, lease="1.99.x"), 900)
    assert ledger(rig) == {("/a", "t"): (1, 35, 35)}


def test_tags_that_change_between_attempts_count_from_then_on(rig: Rig) -> None:
    task_id = rig.add(tags=("before", "always"))
    grant = rig.take(lease_ms=HOUR)
    rig.do(ops.Fail(task_id=task_id, lease=grant.lease, error="{}", retry_after_ms=0, usage=usage(5)))
    rig.do(ops.Update(task_id=task_id, tags=("always", "after")))
    grant = rig.take(lease_ms=HOUR)
    rig.do(ops.Park(task_id=task_id, lease=grant.lease, hold="question", usage=usage(7), outputs=Outputs(question="?")))
    rig.do(ops.Update(task_id=task_id, tags=()))
    rig.do(ops.Answer(task_id=task_id, answer="yes"))
    complete(rig, rig.take(lease_ms=HOUR), 100)
    assert ledger(rig) == {("/a", "before"): (1, 5, 5), ("/a", "always"): (1, 12, 12), ("/a", "after"): (0, 7, 7)}


def test_of_many_tags_the_first_sixteen_are_counted(rig: Rig) -> None:
    tags = tuple(f"t{n}" for n in range(50))
    complete(rig, rig.running(tags=tags), 1)
    assert set(ledger(rig)) == {("/a", tag) for tag in tags[:16]}


def test_any_text_is_a_tag_and_the_longest_fits_below_the_longest_path(rig: Rig) -> None:
    path = "/" + "\u00e4" * 500
    complete(rig, rig.running(path, tags=ODD), 3)
    assert ledger(rig) == {(path, tag): (1, 3, 3) for tag in ODD}
    for tag in ODD:
        assert tokens_by_tag(rig, tag=[tag]) == [(tag, 3)]


def test_sums_end_where_numbers_do(rig: Rig) -> None:
    most = {"input_tokens": MOST, "output_tokens": MOST, "cached_tokens": MOST, "cost_usd": MOST_USD, "duration_ms": MOST}
    for _ in range(3):
        complete(rig, rig.running(tags=("t",)), 0, **most)
    (row,) = listed(rig, by=BY_TAG).items
    assert (row.attempts, row.input_tokens, row.duration_ms, row.cost_usd) == (3, 3 * MOST, 3 * MOST, 3 * MOST_USD)


def test_a_report_that_is_refused_leaves_the_ledger_alone(rig: Rig) -> None:
    grant = rig.running(tags=("t",))
    before = rig.dump()
    done = ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=usage(5))
    refused = rig.outcomes(ops.Complete(task_id=grant.task_id, lease="9.9.x", usage=usage(50)))
    assert isinstance(refused[0], LeaseLost)
    assert rig.dump() == before
    rig.outcomes(done, done)
    assert ledger(rig) == {("/a", "t"): (1, 5, 5)}


def test_it_is_pruned_after_400_days_in_steps_and_outlives_tasks(rig: Rig) -> None:
    complete(rig, rig.running(tags=tuple(f"t{n}" for n in range(12))), 1)
    complete(rig, rig.running("/b", tags=tuple(f"t{n}" for n in range(12))), 1)
    rig.time.pass_(399 * DAY)
    rig.do(ops.Prune(before=rig.time.at, keys_before=0), SYSTEM)
    assert (rig.fetch("SELECT count(*) FROM tasks"), len(ledger(rig))) == ([(0,)], 24)
    rig.time.pass_(2 * DAY)
    left = []
    while rig.do(ops.Prune(before=0, keys_before=0, rows=10), SYSTEM).more:  # type: ignore[attr-defined]
        left.append(len(ledger(rig)))
    assert (left, ledger(rig)) == ([14, 4], {})


def test_it_goes_with_days_directories_and_filters(rig: Rig) -> None:
    complete(rig, rig.running("/a", tags=("x", "y")), 10)
    complete(rig, rig.running("/a/b", tags=("y",)), 20)
    rig.time.pass_(DAY)
    complete(rig, rig.running("/c", tags=("x",)), 40)
    assert tokens_by_tag(rig) == [("x", 50), ("y", 30)]
    assert tokens_by_tag(rig, sort=UsageSort.COST, limit=1) == [("x", 50)]
    assert tokens_by_tag(rig, work_path=["/a"]) == [("x", 10), ("y", 10)]
    assert tokens_by_tag(rig, work_path=["/a"], recursive=True) == [("x", 10), ("y", 30)]
    assert tokens_by_tag(rig, BELOW_A) == [("x", 10), ("y", 30)]
    assert tokens_by_tag(rig, PathScope(())) == []
    days = listed(rig, by=[UsageBy.DAY, UsageBy.TAG]).items
    assert [(row.tag, row.input_tokens) for row in days] == [("x", 40), ("x", 10), ("y", 30)]
    assert days[0].day is not None
    assert tokens_by_tag(rig, since=days[0].day) == [("x", 40)]
    assert [row.input_tokens for row in listed(rig, tag=["y"]).items] == [30]
    places = listed(rig, by=[UsageBy.DIRECTORY], tag=["x", "x"]).items
    assert [(row.work_directory, row.input_tokens, row.tag) for row in places] == [("/a", 10, None), ("/c", 40, None)]
    assert listed(rig, tag=["none"]).items == []


def test_what_no_ledger_has_is_refused(rig: Rig) -> None:
    for field, query in (
        ("by", {"by": [UsageBy.TAG, UsageBy.MODEL]}),
        ("agent", {"by": [UsageBy.TAG], "agent": ["claude"]}),
        ("by", {"by": [UsageBy.HOST], "tag": ["x"]}),
        ("model", {"tag": ["x"], "model": [""]}),
        ("tag", {"tag": ["x", "y"]}),
    ):
        with pytest.raises(ValidationFailed) as refused:
            listed(rig, **query)
        assert refused.value.details["field"] == field


def test_what_cost_most_comes_first_and_without_costs_what_used_most(rig: Rig) -> None:
    for path, tokens, dollars in (("/a", 5, 0), ("/b", 9, 0), ("/c", 1, 2), ("/d", 9, 0)):
        complete(rig, rig.running(path), tokens, cost_usd=dollars)
    found = listed(rig, by=[UsageBy.DIRECTORY], sort=UsageSort.COST, limit=3).items
    assert [row.work_directory for row in found] == ["/c", "/b", "/d"]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_the_sums_are_those_of_the_tags_at_that_time(rig: Rig, seed: int) -> None:
    """Retries, expiries, releases, parking and changes of tags in any order, beside sums that are kept by hand."""
    chance, sums, told = random.Random(seed), Counter[tuple[str, str]](), Counter[int]()
    for n in range(4):
        rig.add(f"/{n}", max_attempts=99, tags=tuple(chance.sample("abcde", n)))
    running: dict[int, str] = {}
    for _ in range(120):
        task_id = chance.choice([task_id for task_id, head in rig.heads().items() if not head.status.final] or [rig.add("/0")])
        head = rig.head(task_id)
        if head.status is Status.RUNNING:
            lease, now = running[task_id], told[task_id] + chance.randrange(-3, 9)
            end: ops.Operation = chance.choice([
                ops.Heartbeat(task_id=task_id, lease=lease, outputs=Outputs(usage_now=usage(max(0, now)))),
                ops.Heartbeat(task_id=task_id, lease=lease, outputs=Outputs(usage_now=usage(max(0, now)))),
                ops.Fail(task_id=task_id, lease=lease, error="{}", retry_after_ms=0, usage=usage(max(0, now))),
                ops.Release(task_id=task_id, lease=lease, usage=usage(max(0, now))),
                ops.Park(task_id=task_id, lease=lease, hold="approval", usage=usage(max(0, now))),
            ])  # fmt: skip
            rig.do(end)
            for tag in head.tags:
                sums[head.path, tag] += max(0, now - told[task_id])
            told[task_id] = max(told[task_id], now) if isinstance(end, ops.Heartbeat) else 0
        elif head.status is Status.PARKED:
            rig.do(ops.Approve(task_id=task_id))
        elif chance.random() < 0.4:
            rig.do(ops.Update(task_id=task_id, tags=tuple(chance.sample("abcde", chance.randrange(4)))))
        else:
            for grant in rig.claim(head.path, lease_ms=HOUR):
                running[grant.task_id] = grant.lease
    found = {place: tokens for place, (_, tokens, _) in ledger(rig).items() if tokens}
    assert found == {place: tokens for place, tokens in sums.items() if tokens}
    assert found
