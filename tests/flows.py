"""Workflows and runs in tests: saved, begun, and worked on by hand."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Begun, Claimed, Defined, Done
from orchestrator.domain.principal import OPEN, SYSTEM, Principal
from orchestrator.domain.workflows import Definition, check
from tests.rig import Rig, claim, interest
from worker_client.contract.workflows import Step

HERE = "/a"


def step(step_id: str, *before: str, prompt: str = "work", **facts: Any) -> dict[str, Any]:
    """A step whose task is for an agent in `/a`."""
    task = {"work_directory": HERE, "prompt": prompt, **facts.pop("task", {})}
    return {"id": step_id, "depends_on": list(before), "task": task, **facts}


def definition(*steps: Mapping[str, Any], **facts: Any) -> Definition:
    return Definition(steps=msgspec.convert(list(steps), list[Step]), **facts)


class Flows:
    """A rig on which workflows run."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def save(self, *steps: Mapping[str, Any], name: str = "w", by: Principal = OPEN, **facts: Any) -> str:
        found = definition(*steps, **facts)
        asks = check(found, by, self.rig.rules.defaults)
        saved = self.rig.do(flow.SaveWorkflow(name=name, definition=json.dumps(msgspec.to_builtins(found)), asks=asks), by)
        assert isinstance(saved, Defined)
        return saved.workflow.id

    def begin(self, workflow_id: str, by: Principal = OPEN, *, follow: bool = True, **facts: Any) -> int:
        facts = {name: json.dumps(value) if name in {"input", "trigger"} else value for name, value in facts.items()}
        begun = self.rig.do(flow.BeginRun(workflow_id=workflow_id, **facts), by)
        assert isinstance(begun, Begun)
        if follow:
            self.follow()
        return begun.run.id

    def run(self, *steps: Mapping[str, Any], input: Any = None, **facts: Any) -> int:
        return self.begin(self.save(*steps, **facts), input=input or {})

    def resume(self, run_id: int) -> None:
        self.rig.do(flow.ResumeRun(run_id=run_id))
        self.follow()

    def follow(self, **limits: Any) -> int:
        """Have everything happen that follows; how many times something did."""
        times = 0
        more = True
        while more:
            done = self.rig.do(flow.Follow(**limits), SYSTEM)
            assert isinstance(done, Done)
            times += done.count
            more = done.more
        return times

    def status(self, run_id: int) -> tuple[str, str | None]:
        ((status, reason),) = self.rig.fetch("SELECT status, reason FROM runs WHERE id = ?", [run_id])
        return status, reason

    def steps(self, run_id: int) -> dict[str, str]:
        return dict(self.rig.fetch("SELECT step_id, status FROM run_steps WHERE run_id = ?", [run_id]))

    def reason(self, run_id: int, step_id: str) -> str:
        ((reason,),) = self.rig.fetch("SELECT reason FROM run_steps WHERE run_id = ? AND step_id = ?", [run_id, step_id])
        return str(reason)

    def tasks(self, run_id: int, step_id: str) -> list[int]:
        """Ids of the tasks of a step, by item."""
        rows = self.rig.fetch("SELECT tasks FROM run_steps WHERE run_id = ? AND step_id = ?", [run_id, step_id])
        return [] if not rows else list(json.loads(rows[0][0]))

    def prompts(self, run_id: int) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for step_id, prompt in self.rig.fetch(
            "SELECT t.step_id, i.prompt FROM tasks t JOIN task_inputs i ON i.task_id = t.id WHERE t.run_id = ? ORDER BY t.id",
            [run_id],
        ):
            found.setdefault(step_id, []).append(prompt)
        return found

    def work(self, answer: Callable[[str, str], Any] = lambda _step, _prompt: None, *, limit: int = 1_000, at: str = HERE) -> int:
        """Do what waits, and what follows: `answer` of a step and a prompt is the result, an Exception a failure."""
        done = 0
        while True:
            claimed = self.rig.do(claim(interest(at), limit=limit))
            assert isinstance(claimed, Claimed)
            if not claimed.grants:
                break
            batch: list[ops.Operation] = []
            for grant in claimed.grants:
                view = claimed.views[grant.task_id]
                result = answer(view.head.step_id or "", view.inputs.prompt or "")
                if isinstance(result, Exception):
                    batch.append(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}", retryable=False))
                else:
                    batch.append(ops.Complete(task_id=grant.task_id, lease=grant.lease, result=json.dumps(result)))
            done += len(batch)
            assert not [one for one in self.rig.outcomes(*batch) if isinstance(one, Exception)]
            self.follow()
        return done
