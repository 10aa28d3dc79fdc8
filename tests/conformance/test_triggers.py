"""Deliveries to triggers, on every kind of store."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.domain.delivering import GIVEN_UP_MS, pending_of
from orchestrator.domain.flow_operations import DeleteWorkflow, SaveWorkflow
from orchestrator.domain.operations import Prune
from orchestrator.domain.outcomes import Defined, Received
from orchestrator.domain.principal import OPEN, SYSTEM, path_scope
from orchestrator.domain.schedule_operations import FireDue
from orchestrator.domain.trigger_operations import Deliver, Deploy, Postpone, Settle, Undeploy
from tests.rig import HOUR, MINUTE, Rig, meddle
from tests.serving import Server
from worker_client.contract.enums import DeliveryOutcome
from worker_client.contract.triggers import ListDeliveries
from worker_client.errors import Conflict, NotFound, ValidationFailed

FETCHING = DeliveryOutcome.FETCHING


def definition_of(*triggers: Any) -> str:
    step = {"id": "s", "task": {"work_directory": "/a", "prompt": "{{ input.x }}"}}
    return msgspec.json.encode({"steps": [step], "triggers": triggers, "input": {"x": 0}}).decode()


def save(*types: str, **facts: Any) -> SaveWorkflow:
    return SaveWorkflow(**{"name": "w", "definition": definition_of(*({"type": one} for one in types)), **facts})


def workflow(rig: Rig, *types: str, name: str = "w") -> str:
    saved = rig.do(save(*types, name=name))
    assert isinstance(saved, Defined)
    rig.do(Deploy(workflow_id=saved.workflow.id))
    return saved.workflow.id


def deliver(rig: Rig, at: str, **facts: Any) -> tuple[str, int | None]:
    received = rig.do(Deliver(**{"workflow_id": at, "place": 0, "type": "webhook", **facts}))
    assert isinstance(received, Received)
    return received.delivery.outcome, received.delivery.run_id


def states(rig: Rig) -> list[tuple[Any, ...]]:
    return sorted(rig.fetch("SELECT place, type, state FROM trigger_states"))


def test_a_known_key_begins_no_second_run(rig: Rig) -> None:
    at = workflow(rig, "webhook", "webhook")
    outcome, run = deliver(rig, at, key="k", input='{"x": 1}')
    assert outcome == "fired"
    for _ in range(3):
        assert deliver(rig, at, key="k", input='{"x": 2}') == ("duplicate", run)
    assert deliver(rig, at, key="k", place=1)[0] == "fired"
    assert deliver(rig, at, key="l")[0] == "fired"
    assert deliver(rig, at)[0] == deliver(rig, at)[0] == "fired"
    rows = rig.fetch("SELECT outcome, key, times FROM deliveries ORDER BY id")
    assert rows[:2] == [("fired", "k", 1), ("duplicate", "k", 3)]
    assert len(rig.fetch("SELECT 1 FROM runs")) == 5
    assert rig.fetch("SELECT input FROM runs ORDER BY id")[0] == ('{"x":1}',)


def test_many_in_one_transaction_begin_one_run(rig: Rig) -> None:
    at = workflow(rig, "webhook")
    ops = [Deliver(workflow_id=at, place=0, type="webhook", key="k") for _ in range(5)]
    found = [one.delivery.outcome for one in rig.outcomes(*ops) if isinstance(one, Received)]
    assert found == ["fired", *["duplicate"] * 4]
    assert rig.fetch("SELECT outcome, times FROM deliveries ORDER BY id") == [("fired", 1), ("duplicate", 4)]


def test_what_was_not_wanted_may_come_again(rig: Rig) -> None:
    at = workflow(rig, "webhook")
    assert deliver(rig, at, key="k", outcome=DeliveryOutcome.FILTERED, reason="branches: main") == ("filtered", None)
    assert deliver(rig, at, key="k")[0] == "fired"


def test_refusals_share_a_row_for_an_hour(rig: Rig) -> None:
    at = workflow(rig, "webhook")
    for reason, times in (("a", 1), ("a", 5), ("b", 1)):
        deliver(rig, at, outcome=DeliveryOutcome.REFUSED, reason=reason, times=times)
    rig.time.pass_(HOUR + 1)
    deliver(rig, at, outcome=DeliveryOutcome.REFUSED, reason="a")
    deliver(rig, "", outcome=DeliveryOutcome.REFUSED, reason="a")
    rows = rig.fetch("SELECT workflow_id, reason, times FROM deliveries ORDER BY id")
    assert rows == [(at, "a", 6), (at, "b", 1), (at, "a", 1), ("", "a", 1)]
    assert rig.fetch("SELECT 1 FROM runs") == []


def test_what_is_not_deployed_takes_nothing(rig: Rig) -> None:
    saved = rig.do(save("webhook"))
    assert isinstance(saved, Defined)
    for at in (saved.workflow.id, "wf_none"):
        with pytest.raises(NotFound, match=at):
            deliver(rig, at)
    rig.do(Deploy(workflow_id=saved.workflow.id))
    rig.do(Undeploy(workflow_id=saved.workflow.id))
    with pytest.raises(NotFound):
        deliver(rig, saved.workflow.id)
    assert rig.fetch("SELECT 1 FROM deliveries") == []


def test_what_triggers_remember_stays_as_long_as_they_do(rig: Rig) -> None:
    at = workflow(rig, "email", "manual")
    rig._runner.run(_remember(rig))
    rig.do(Deploy(workflow_id=at))
    assert states(rig) == [(0, "email", '{"n": 1}'), (1, "manual", '{"n": 1}')]
    rig.do(save("email", "webhook", "github", workflow_id=at))
    rig.do(Deploy(workflow_id=at))
    assert states(rig) == [(0, "email", '{"n": 1}'), (1, "webhook", "{}"), (2, "github", "{}")]
    rig.do(Undeploy(workflow_id=at))
    assert states(rig) == []


async def _remember(rig: Rig) -> None:
    await meddle(rig.store, """UPDATE trigger_states SET state = '{"n": 1}'""")


def waiting(rig: Rig, at: str, **facts: Any) -> int:
    op = Deliver(workflow_id=at, place=0, type="github", key="d", outcome=FETCHING, input='{"x": 1}', wants='{"n": 5}', **facts)
    received = rig.do(op)
    assert isinstance(received, Received)
    return received.delivery.id


def test_a_delivery_waits_for_what_it_omits(rig: Rig) -> None:
    at = workflow(rig, "github")
    one = waiting(rig, at, paths=("src/**",))
    assert rig.fetch("SELECT 1 FROM runs") == []
    assert deliver(rig, at, key="d", type="github")[0] == "duplicate"
    (pending,) = [pending_of(text) for (text,) in rig.fetch("SELECT pending FROM deliveries WHERE outcome = 'fetching'")]
    assert (pending.wants, pending.paths, pending.until) == ({"n": 5}, ["src/**"], rig.time.at + GIVEN_UP_MS)
    rig.do(Postpone(delivery_id=one, due_at=rig.time.at + 50, reason="later"))
    rig.time.pass_(70)
    settle = Settle(delivery_id=one, outcome=DeliveryOutcome.FIRED, input='{"x": 2}')
    outcomes = rig.outcomes(settle, settle, by=SYSTEM)
    assert isinstance(outcomes[0], Received)
    assert not isinstance(outcomes[1], Received)
    (row,) = rig.fetch("SELECT outcome, run_id, tries, pending, due_at, duration_ms FROM deliveries WHERE id = ?", [one])
    assert row == ("fired", 1, 1, None, None, 70)
    assert rig.fetch("SELECT input FROM runs") == [('{"x":2}',)]
    rig.do(Postpone(delivery_id=one, due_at=1, reason="too late"))
    assert rig.fetch("SELECT outcome, due_at FROM deliveries WHERE id = ?", [one]) == [("fired", None)]


def test_one_that_waits_while_its_workflow_is_undeployed_begins_nothing(rig: Rig) -> None:
    at = workflow(rig, "github")
    one = waiting(rig, at)
    rig.do(Undeploy(workflow_id=at))
    rig.do(Settle(delivery_id=one, outcome=DeliveryOutcome.FIRED))
    assert rig.fetch("SELECT outcome, reason FROM deliveries") == [("failed", "the workflow was undeployed meanwhile")]


def test_a_dry_run_that_waited_begins_nothing(rig: Rig) -> None:
    at = workflow(rig, "github")
    rig.do(Settle(delivery_id=waiting(rig, at, dry_run=True), outcome=DeliveryOutcome.FIRED))
    assert rig.fetch("SELECT outcome FROM deliveries") == [("dry_run",)]
    assert [event.type for event in rig.events].count("trigger.dry_run") == 1
    assert rig.fetch("SELECT 1 FROM runs") == []


def test_a_deployed_workflow_is_not_deleted(rig: Rig) -> None:
    at = workflow(rig, "webhook")
    with pytest.raises(Conflict, match="undeploy"):
        rig.do(DeleteWorkflow(workflow_id=at))
    rig.do(Undeploy(workflow_id=at))
    rig.do(DeleteWorkflow(workflow_id=at))


def test_the_history_is_forgotten_but_for_what_waits(rig: Rig) -> None:
    at = workflow(rig, "webhook")
    deliver(rig, at, key="k")
    waiting(rig, at)
    rig.time.pass_(HOUR)
    rig.do(Prune(before=0, keys_before=rig.time.at), SYSTEM)
    assert rig.fetch("SELECT outcome FROM deliveries") == [("fetching",)]


@pytest.mark.anyio
async def test_two_servers_that_get_the_same_delivery_at_once_begin_one_run(tmp_path: Path) -> None:
    one, two = Server("postgres", tmp_path), Server("postgres", tmp_path)
    await one.queue.start()
    await two.queue.start()
    try:
        saved = await one.do(save("github"))
        assert isinstance(saved, Defined)
        at = saved.workflow.id
        await one.do(Deploy(workflow_id=at))
        for number in range(10):
            op = Deliver(workflow_id=at, place=0, type="github", key=f"d{number}")
            asked = [server.queue.submit(op, OPEN) for server in (one, two) for _ in range(3)]
            found = [received.delivery.outcome for received in await asyncio.gather(*asked) if isinstance(received, Received)]
            assert sorted(found) == [*["duplicate"] * 5, "fired"]
        rows = await one.queue.reads._fetch("SELECT count(*) FROM runs", ())
        assert rows == [(10,)]
    finally:
        await two.queue.stop()
        await one.queue.stop()


def crons(rig: Rig) -> list[tuple[Any, ...]]:
    return rig.fetch("SELECT id, place, cron, due_at FROM schedules ORDER BY place")


def cron(expression: str = "0 * * * *", **facts: Any) -> dict[str, Any]:
    return {"type": "cron", "cron": expression, **facts}


def test_cron_triggers_are_schedules_while_they_are_deployed(rig: Rig) -> None:
    def version(*triggers: Any, of: str | None = None) -> str:
        saved = rig.do(SaveWorkflow(name="w", definition=definition_of(*triggers), workflow_id=of))
        assert isinstance(saved, Defined)
        rig.do(Deploy(workflow_id=saved.workflow.id))
        return saved.workflow.id

    at = version(cron(input={"x": 1}), {"type": "manual"}, cron("30 4 * * *", enabled=False), cron("@daily"))
    first = crons(rig)
    assert [row[1:3] for row in first] == [(0, "0 * * * *"), (3, "@daily")]
    due = first[0][3]
    rig.time.pass_(due - rig.time.at + 5)
    rig.do(FireDue(), SYSTEM)
    assert rig.fetch("SELECT input, number, source FROM runs") == [('{"x":1}', 1, "schedule")]
    rig.do(Deploy(workflow_id=at))
    assert [row[:3] for row in crons(rig)] == [row[:3] for row in first]
    assert crons(rig)[0][3] == due + HOUR
    version(cron("*/5 * * * *"), {"type": "manual"}, cron("30 4 * * *"), of=at)
    changed = crons(rig)
    assert [row[1:3] for row in changed] == [(0, "*/5 * * * *"), (2, "30 4 * * *")]
    assert changed[0][0] == first[0][0]
    assert rig.fetch("SELECT runs FROM schedules ORDER BY place") == [(1,), (0,)]
    rig.time.pass_(5 * MINUTE)
    rig.do(FireDue(), SYSTEM)
    assert rig.fetch("SELECT number FROM runs ORDER BY id") == [(1,), (2,)]
    over = SaveWorkflow(name="w", definition=definition_of(cron("@daily", ends_at="2001-01-01T00:00:00Z")), workflow_id=at)
    rig.do(over)
    refused, again = rig.outcomes(Deploy(workflow_id=at), Deploy(workflow_id=at, number=2))
    assert isinstance(refused, ValidationFailed)
    assert isinstance(again, Defined)
    assert [row[:3] for row in crons(rig)] == [row[:3] for row in changed]
    rig.do(Undeploy(workflow_id=at))
    assert crons(rig) == []
    rig.time.pass_(HOUR)
    rig.do(FireDue(), SYSTEM)
    assert len(rig.fetch("SELECT 1 FROM runs")) == 2


def test_what_people_see_of_triggers(rig: Rig) -> None:
    one, two = workflow(rig, "webhook", "github", name="b"), workflow(rig, "github", name="a")
    rig.do(save("manual", name="b", workflow_id=one))
    rig.time.pass_(7)
    deliver(rig, one, key="k", facts='{"n": 1}')
    deliver(rig, one, place=1, type="github", outcome=DeliveryOutcome.FILTERED, reason="no")
    waits = waiting(rig, two)
    deliver(rig, "", outcome=DeliveryOutcome.REFUSED, reason="x")
    rig._runner.run(_seen(rig, one, two, waits))


async def _seen(rig: Rig, one: str, two: str, waits: int) -> None:
    reads, nobody = rig.store.reads, path_scope(["/nothing"])
    found = await reads.triggered(one, OPEN.paths)
    assert found is not None
    assert (found.name, found.number, found.latest, [kept["type"] for kept in found.triggers]) == (
        "b",
        1,
        2,
        ["webhook", "github"],
    )
    assert await reads.triggered(one, nobody) is None
    assert [kept["type"] for kept in await reads.triggers_of(one, None, OPEN.paths)] == ["manual"]
    assert [kept["type"] for kept in await reads.triggers_of(one, 1, OPEN.paths)] == ["webhook", "github"]
    assert await reads.triggers_of(one, 7, OPEN.paths) == await reads.triggers_of(one, 1, nobody) == []
    assert {each.workflow_id for each in await reads.triggered_by("github")} == {one, two}
    assert [each.workflow_id for each in await reads.triggered_by("webhook")] == [one]
    assert [each.name for each in await reads.deployments(OPEN.paths)] == ["a", "b"]
    assert await reads.deployments(nobody) == []
    assert await reads.trigger_states([one, two]) == {(one, 0): None, (one, 1): None, (two, 0): None}
    at = rig.time.at
    assert await reads.last_deliveries(one, 3) == {0: (at, DeliveryOutcome.FIRED), 1: (at, DeliveryOutcome.FILTERED)}
    page = await reads.deliveries(one, ListDeliveries(limit=1))
    assert ([row.outcome for row in page.items], page.total) == ([DeliveryOutcome.FILTERED], 2)
    rest = await reads.deliveries(one, ListDeliveries(limit=1, cursor=page.next_cursor))
    assert ([(row.key, row.facts, row.times) for row in rest.items], rest.next_cursor) == ([("k", {"n": 1}, 1)], None)
    only = await reads.deliveries(one, ListDeliveries(outcome=DeliveryOutcome.FIRED, type="webhook"))
    assert [row.key for row in only.items] == ["k"]
    assert [row.id for row in await reads.fetching(at, 10)] == [waits]
    assert await reads.fetching(at - 1, 10) == []
    assert (await reads.waiting_deliveries(), await reads.refused_strangers()) == (1, at)


def test_a_cron_trigger_that_was_paused_begins_anew_when_it_is_changed(embedded: Rig) -> None:
    def version(expression: str, of: str | None = None) -> str:
        text = definition_of(cron(expression, pause_after_failures=2))
        saved = embedded.do(SaveWorkflow(name="w", definition=text, workflow_id=of))
        assert isinstance(saved, Defined)
        embedded.do(Deploy(workflow_id=saved.workflow.id))
        return saved.workflow.id

    at = version("@daily")
    embedded._runner.run(meddle(embedded.store, "UPDATE schedules SET enabled = 0, fire_at = NULL, due_at = NULL, failures = 2"))
    version("@hourly", of=at)
    assert embedded.fetch("SELECT enabled, failures, fire_at IS NULL FROM schedules") == [(1, 0, 0)]
