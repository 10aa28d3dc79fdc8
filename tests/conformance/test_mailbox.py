"""Which server reads the mailbox, and what email triggers remember, on every kind of store."""

from typing import Any

import pytest

from orchestrator.domain.mailbox_operations import TendMailbox
from orchestrator.domain.outcomes import Defined, Tended
from orchestrator.domain.trigger_operations import Deliver, Deploy, Undeploy
from tests.conformance.test_triggers import save
from tests.rig import Rig
from tests.serving import Server
from worker_client.contract.enums import DeliveryOutcome

HOLD = 10_000


def deployed(rig: Rig, *types: str, name: str = "w") -> str:
    saved = rig.do(save(*types, name=name))
    assert isinstance(saved, Defined)
    rig.do(Deploy(workflow_id=saved.workflow.id))
    return saved.workflow.id


def tend(rig: Rig, holder: str, hold_ms: int = HOLD, **facts: Any) -> Tended:
    tended = rig.do(TendMailbox(holder=holder, hold_ms=hold_ms, **facts))
    assert isinstance(tended, Tended)
    return tended


def test_one_server_reads_the_mailbox_until_it_leaves_or_is_not_heard_of(rig: Rig) -> None:
    place = (deployed(rig, "webhook", "email"), 1)
    assert tend(rig, "a") == Tended(held=True, states={place: "{}"})
    assert tend(rig, "b") == Tended(held=False, states={})
    rig.time.pass_(HOLD - 1)
    assert tend(rig, "a").held
    rig.time.pass_(HOLD - 1)
    assert not tend(rig, "b").held
    rig.time.pass_(1)
    assert tend(rig, "b").held
    assert not tend(rig, "a").held
    assert tend(rig, "b", hold_ms=0).held
    assert tend(rig, "a").held


def test_another_workflow_is_read_by_the_same_server(rig: Rig) -> None:
    first = (deployed(rig, "email"), 0)
    assert tend(rig, "a").held
    second = (deployed(rig, "email", name="v"), 0)
    assert not tend(rig, "b").held
    assert tend(rig, "a").states == {first: "{}", second: "{}"}


def test_what_triggers_remember_goes_with_their_deployment(rig: Rig) -> None:
    at = deployed(rig, "email")
    told = tend(rig, "a", states={(at, 0): '{"last":5}', ("wf_gone", 0): "{}"}, failing={(at, 0): "no folder"})
    assert told.states == {(at, 0): '{"last":5}'}
    assert not tend(rig, "b", states={(at, 0): '{"last":1}'}).held
    assert rig.fetch("SELECT state, failing, holder FROM trigger_states") == [('{"last":5}', "no folder", "a")]
    tend(rig, "a", failing={(at, 0): None})
    rig.do(Deploy(workflow_id=at))
    assert rig.fetch("SELECT state, failing FROM trigger_states") == [('{"last":5}', None)]
    rig.do(Undeploy(workflow_id=at))
    assert tend(rig, "b") == Tended(held=True, states={})


def test_nothing_is_written_where_nothing_changes(rig: Rig) -> None:
    at = deployed(rig, "email")
    for _ in range(3):
        tend(rig, "", hold_ms=0, failing={(at, 0): "unset"})
    assert rig.fetch("SELECT version, holder, held_until FROM trigger_states") == [(2, None, None)]


@pytest.mark.anyio
async def test_a_mail_is_known_by_its_digest_in_the_whole_workflow(server: Server) -> None:
    saved = await server.do(save("email", "email"))
    assert isinstance(saved, Defined)
    at = saved.workflow.id
    await server.do(Deploy(workflow_id=at))
    fired, filtered = DeliveryOutcome.FIRED, DeliveryOutcome.FILTERED
    for place, key, outcome in ((0, "d/1", fired), (1, "d/1", filtered), (1, "d0/1", fired)):
        await server.do(Deliver(workflow_id=at, place=place, type="email", key=key, outcome=outcome))
    found = await server.queue.reads.mail_keys(at, "d")
    assert sorted(found) == [(0, "d/1", fired), (1, "d/1", filtered)]
    assert await server.queue.reads.mail_keys("wf_other", "d") == []
