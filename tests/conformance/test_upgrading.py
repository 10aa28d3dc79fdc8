"""A database from before there were agents and budgets: what its tasks said of them holds from now on."""

import json
from pathlib import Path

import pytest

from orchestrator import resources
from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import Budget, budget_of
from orchestrator.domain.task import Inputs
from tests.copies import address, connected
from tests.rig import STORES, Rig, interest
from worker_client.contract.enums import Status


def said(**spec: object) -> Inputs:
    return Inputs(prompt="do it", spec=json.dumps(spec, separators=(",", ":")))


@pytest.mark.parametrize("kind", STORES)
def test_tasks_of_before_are_for_their_agents_and_have_their_budgets(tmp_path: Path, kind: str) -> None:
    before = Rig(tmp_path, kind)
    wanted = {"agent": "codex", "verify": "printf '\0' \\u0000", "budget": {"tokens": 100, "cost_usd": 1.5}}
    spent = before.add(inputs=said(**wanted))
    lease = before.take().lease
    usage = '{"input_tokens":60,"output_tokens":50,"cost_usd":0.25}'
    before.do(ops.Complete(task_id=spent, lease=lease, usage=usage))
    named, anybodys = before.add(inputs=said(**wanted)), before.add(inputs=said(agent=None, budget=None))
    costly = before.add(inputs=said(budget={"cost_usd": 0.000001}))
    script = before.add(kind="script", inputs=said(agent="codex", budget={"tokens": 1}))
    before.close()
    with connected(address(kind, tmp_path)) as database:
        for statement in (resources.migrations(kind) / "0005_agents_of_before.sql").read_text().split(";\n"):
            database.execute(statement)
    rig = Rig(tmp_path, kind)
    try:
        heads = rig.heads()
        assert {head.id: head.agent for head in heads.values()} == {
            spent: "codex", named: "codex", anybodys: "", costly: "", script: "",
        }  # fmt: skip
        assert {head.id: head.budget and budget_of(head.budget) for head in heads.values()} == {
            spent: Budget(tokens=100, micros=1_500_000, used_tokens=110, used_micros=250_000),
            named: Budget(tokens=100, micros=1_500_000), costly: Budget(micros=1), anybodys: None, script: None,
        }  # fmt: skip
        rig.do(ops.Retry(task_id=spent))
        assert rig.status(spent) is Status.PARKED
        found = [rig.do(ops.Claim(interest=interest(agent="claude"), worker_id=f"w{at}", lease_ms=1_000)) for at in range(4)]
        assert [[grant.task_id for grant in one.grants] for one in found] == [[anybodys], [costly], [script], []]  # type: ignore[attr-defined]
    finally:
        rig.close()
