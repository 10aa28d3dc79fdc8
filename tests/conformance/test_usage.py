"""The ledger of what is used: fed by deltas, by day, directory, host, model and agent; never more nor less than the attempts."""

import json
from datetime import date
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import DAY
from orchestrator.domain.outcomes import Grant
from orchestrator.domain.principal import EVERYWHERE, SYSTEM, PathScope, Pattern
from orchestrator.domain.task import Outputs
from orchestrator.store.reads.values import Listing
from tests.reading import read
from tests.rig import HOUR, Rig
from worker_client.contract.reports import MOST, MOST_USD
from worker_client.contract.usage import ListUsage, UsageBy, UsageRow, UsageSummary, Used

BELOW_A = PathScope((Pattern("/a", below=True),))


@pytest.fixture(autouse=True)
def _noon(rig: Rig) -> None:
    rig.time.at = rig.time.at // DAY * DAY + DAY // 2


def usage(tokens: int, model: str | None = "m", **facts: Any) -> str:
    return json.dumps({"input_tokens": tokens, "output_tokens": 1, "cost_usd": tokens / 1000, "model": model, **facts})


def beat(rig: Rig, grant: Grant, tokens: int, **facts: Any) -> None:
    rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=Outputs(usage_now=usage(tokens, **facts))))


def complete(rig: Rig, grant: Grant, tokens: int | None = None, **facts: Any) -> None:
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=None if tokens is None else usage(tokens, **facts)))


def ledger(rig: Rig) -> list[tuple[Any, ...]]:
    """(days since the first, path, host, model, attempts, input tokens, thousandths of a dollar)."""
    rows = rig.fetch("SELECT day, path, host, model, attempts, input_tokens, micros FROM task_usage ORDER BY 1, 2, 3, 4")
    return [(row[0] - rows[0][0], *row[1:6], row[6] // 1000) for row in rows]


def listed(rig: Rig, visible: PathScope = EVERYWHERE, **query: Any) -> Listing[UsageRow]:
    return read(rig, rig.store.reads.usage(ListUsage(**query), visible))


def summary(rig: Rig, visible: PathScope = EVERYWHERE) -> UsageSummary:
    return read(rig, rig.store.reads.usage_summary(rig.time.at, visible))


def test_a_heartbeat_counts_its_increase_at_once_and_the_end_the_rest(rig: Rig) -> None:
    grant = rig.running(host="box", lease_ms=HOUR)
    beat(rig, grant, 10)
    beat(rig, grant, 30)
    assert ledger(rig) == [(0, "/a", "box", "m", 0, 30, 30)]
    complete(rig, grant, 35)
    assert ledger(rig) == [(0, "/a", "box", "m", 1, 35, 35)]


def test_a_value_that_falls_takes_nothing_back_and_counts_nothing_twice(rig: Rig) -> None:
    grant = rig.running(lease_ms=HOUR)
    for tokens in (100, 40, 120):
        beat(rig, grant, tokens)
    complete(rig, grant, 90)
    assert ledger(rig) == [(0, "/a", "", "m", 1, 120, 120)]
    assert [json.loads(text)["input_tokens"] for (text,) in rig.fetch("SELECT usage FROM attempts")] == [120]


def test_what_an_attempt_used_counts_on_the_day_that_it_was_told(rig: Rig) -> None:
    grant = rig.running(lease_ms=2 * DAY, timeout_ms=2 * DAY)
    beat(rig, grant, 10)
    rig.time.pass_(DAY)
    beat(rig, grant, 30, model="n")
    complete(rig, grant)
    assert ledger(rig) == [(0, "/a", "", "m", 0, 10, 10), (1, "/a", "", "n", 1, 20, 20)]


def test_only_what_ran_to_an_end_is_an_attempt_but_all_of_it_is_used(rig: Rig) -> None:
    task_id = rig.add(max_attempts=9)
    rig.do(ops.Release(task_id=task_id, lease=rig.take().lease, usage=usage(1)))
    rig.do(ops.Fail(task_id=task_id, lease=rig.take().lease, error="{}", retry_after_ms=0))
    beat(rig, rig.take(), 4)
    rig.pass_(HOUR)
    rig.pass_(HOUR)
    rig.do(ops.Park(task_id=task_id, lease=rig.take().lease, hold="quota", usage=usage(8)))
    assert ledger(rig) == [(0, "/a", "", "", 1, 0, 0), (0, "/a", "", "m", 1, 13, 13)]


def test_a_pruned_task_stays_in_the_ledger_and_that_is_pruned_after_400_days(rig: Rig) -> None:
    complete(rig, rig.running(), 10)
    for days in (399, 2):
        rig.time.pass_(days * DAY)
        rig.do(ops.Prune(before=rig.time.at, keys_before=0), SYSTEM)
        assert rig.fetch("SELECT count(*) FROM tasks") == [(0,)]
        assert len(ledger(rig)) == int(days == 399)


def test_the_ledger_is_pruned_in_steps(rig: Rig) -> None:
    for path in range(30):
        complete(rig, rig.running(f"/{path}"), 1)
    rig.time.pass_(401 * DAY)
    more = rig.do(ops.Prune(before=0, keys_before=0, rows=20), SYSTEM)
    assert (more.more, len(ledger(rig))) == (True, 10)  # type: ignore[attr-defined]


def test_sums_end_where_numbers_do_and_nobody_is_kept_from_ending(rig: Rig) -> None:
    most = {"input_tokens": MOST, "output_tokens": MOST, "cached_tokens": MOST, "cost_usd": MOST_USD, "duration_ms": MOST}
    for _ in range(3):
        complete(rig, rig.running(), 0, **most)
    rig.do(ops.SetDirectory(path="/", daily_tokens=1))
    rig.add()
    assert rig.claim() == []
    found = summary(rig)
    assert (found.today.attempts, found.today.input_tokens, found.total.cost_usd) == (3, 3 * MOST, 3 * MOST_USD)


def test_the_names_of_models_are_as_long_as_a_key_can_be(rig: Rig) -> None:
    long = "\U0001f600" * 200
    path = "/" + "p" * 1000
    grant = rig.running(path, host="\U0001f600" * 250, agent="\U0001f600" * 200)
    complete(rig, grant, 5, model=long)
    assert [row.model for row in listed(rig, by=[UsageBy.MODEL]).items] == [long[:64]]


def test_the_summary_tells_of_today_of_a_week_and_of_a_month(rig: Rig) -> None:
    assert summary(rig) == UsageSummary()
    for days, path, model in ((0, "/b", "old"), (340, "/a", "m"), (23, "/a/x", "n"), (6, "/a", "m"), (0, "/c", "m")):
        rig.time.pass_(days * DAY)
        complete(rig, rig.running(path), 10 + days, model=model)
    found = summary(rig)
    assert [one.input_tokens for one in (found.today, found.last_7_days, found.last_30_days, found.total)] == [26, 59, 409, 419]
    assert found.today == Used(attempts=2, input_tokens=26, output_tokens=2, cost_usd=0.026)
    assert [(row.model, row.cost_usd) for row in found.by_model] == [("m", 0.376), ("n", 0.033)]
    assert [(row.work_directory, row.input_tokens) for row in found.by_directory] == [("/a", 366), ("/a/x", 33), ("/c", 10)]
    rig.time.pass_(DAY)
    assert [one.input_tokens for one in (summary(rig).today, summary(rig).last_7_days)] == [0, 26]
    scoped = summary(rig, BELOW_A)
    assert (scoped.total.input_tokens, [row.work_directory for row in scoped.by_directory]) == (399, ["/a/x", "/a"])


def test_rows_are_told_apart_by_what_is_asked_for(rig: Rig) -> None:
    today = date(1970, 1, 1).fromordinal(date(1970, 1, 1).toordinal() + rig.time.at // DAY)
    complete(rig, rig.running("/a", host="h1", agent="claude"), 10)
    complete(rig, rig.running("/a/b", agent="codex"), 20, model="n")
    rig.time.pass_(DAY)
    complete(rig, rig.running("/a"), 40)
    tomorrow = date.fromordinal(today.toordinal() + 1)
    assert [(row.day, row.input_tokens, row.model) for row in listed(rig).items] == [(tomorrow, 40, None), (today, 30, None)]
    by = [UsageBy.AGENT, UsageBy.DAY]
    assert [(row.agent, row.day, row.attempts) for row in listed(rig, by=by).items] == [
        ("", tomorrow, 1), ("claude", today, 1), ("codex", today, 1),
    ]  # fmt: skip
    assert [row.work_directory for row in listed(rig, by=[UsageBy.DIRECTORY]).items] == ["/a", "/a/b"]
    assert [row.input_tokens for row in listed(rig, work_path=["/a"]).items] == [40, 10]
    assert [row.input_tokens for row in listed(rig, work_path=["/a"], recursive=True, until=today).items] == [30]
    assert [row.input_tokens for row in listed(rig, since=tomorrow).items] == [40]
    assert [row.input_tokens for row in listed(rig, model=["n"], host=[""], agent=["codex"]).items] == [20]
    page = listed(rig, by=[UsageBy.HOST, UsageBy.MODEL], limit=1, offset=1)
    assert (page.total, [(row.host, row.model, row.input_tokens) for row in page.items]) == (3, [("", "n", 20)])
    assert listed(rig, PathScope(())).items == []
