"""Random workflows with random outcomes, on a real store: how they end, and what is done again, as a simple model says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flows import Flows, step
from tests.rig import Rig

FAILED, CANCELLED, COMPLETED, SKIPPED = "failed", "cancelled", "completed", "skipped"
Shape = list[dict[str, Any]]


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flows]:
    path: Path = tmp_path_factory.mktemp("runs")
    rig = Rig(path)
    yield Flows(rig)
    rig.close()


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Shape, dict[str, list[bool]]]:
    """Steps, and by step whether each of its tasks goes well at first."""
    steps: Shape = []
    fates: dict[str, list[bool]] = {}
    for place in range(draw(st.integers(1, 7))):
        before = draw(st.lists(st.sampled_from(steps), unique_by=lambda one: one["id"], max_size=3)) if steps else []
        facts: dict[str, Any] = {"run_if": draw(st.sampled_from(["success", "success", "failure", "always"]))}
        items = draw(st.sampled_from([None, None, 0, 2, 3]))
        if items is not None:
            facts["for_each"] = list(range(items))
        if draw(st.integers(0, 9)) == 0:
            facts["when"] = "false"
        prompt = "{{ index }}" if items is not None else "0"
        steps.append(step(f"s{place}", *(one["id"] for one in before), prompt=prompt, **facts))
        count = 1 if items is None else items
        fates[f"s{place}"] = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=count, max_size=count))
    return steps, fates


def model(steps: Shape, fates: Mapping[str, list[bool]]) -> dict[str, str]:
    """How each step ends; steps stand in an order in which each comes after those that it depends on."""
    ends: dict[str, str] = {}
    for one in steps:
        bad = any(ends[before] in {FAILED, CANCELLED} for before in one["depends_on"])
        if one["run_if"] == "success" and bad:
            end = CANCELLED
        elif (one["run_if"] == "failure" and not bad) or one.get("when") == "false":
            end = SKIPPED
        else:
            end = COMPLETED if all(fates[one["id"]]) else FAILED
        ends[one["id"]] = end
    return ends


def after(steps: Shape, roots: set[str]) -> set[str]:
    found: set[str] = set()
    for one in steps:
        if (roots | found).intersection(one["depends_on"]):
            found.add(one["id"])
    return found


def status(ends: Mapping[str, str]) -> str:
    return FAILED if FAILED in ends.values() else COMPLETED


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes(), st.integers(1, 3))
def test_a_run_ends_as_the_model_says_and_resuming_does_only_what_must_be_done(
    flows: Flows, shape: tuple[Shape, dict[str, list[bool]]], limit: int
) -> None:
    steps, fates = shape
    flows.rig.time.pass_(1)
    (number,) = flows.rig.fetch("SELECT count(*) FROM workflows")[0]
    run_id = flows.run(*steps, name=f"w{number}")
    flows.work(lambda step_id, prompt: None if fates[step_id][int(prompt)] else ValueError(), limit=limit)
    ends = model(steps, fates)
    assert flows.steps(run_id) == ends
    assert flows.status(run_id)[0] == status(ends)
    if status(ends) == COMPLETED:
        return
    made = {step_id: flows.tasks(run_id, step_id) for step_id in ends}
    bad = {step_id for step_id, end in ends.items() if end in {FAILED, CANCELLED}}
    anew = after(steps, bad)
    flows.resume(run_id)
    flows.work(limit=limit)
    healed = {step_id: [True] * len(tasks) for step_id, tasks in fates.items()}
    assert flows.steps(run_id) == model(steps, healed)
    assert flows.status(run_id)[0] == COMPLETED
    for step_id, tasks in made.items():
        now = flows.tasks(run_id, step_id)
        if step_id in anew:
            assert not set(now).intersection(tasks)
        elif tasks:
            assert now == tasks
            leases = [flows.rig.head(task_id).lease_no for task_id in tasks]
            assert leases == [1 if well else 2 for well in fates[step_id]]
