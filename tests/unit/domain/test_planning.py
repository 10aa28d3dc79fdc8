"""What a run does next, against a model that knows nothing of graphs: it asks each step about those before it."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.graph import Graph
from orchestrator.domain.planning import Stand, Tally, advance, again, outcome, tally
from worker_client.contract.enums import RunIf, RunStatus, Status, StepStatus
from worker_client.contract.workflows import Step
from worker_client.errors import ValidationFailed

PENDING, RUNNING, COMPLETED = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.COMPLETED
FAILED, SKIPPED, CANCELLED = StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED


def step(step_id: str, *before: str, run_if: RunIf = RunIf.SUCCESS) -> Step:
    return Step(id=step_id, task={}, depends_on=list(before), run_if=run_if)


def test_steps_come_after_those_that_they_depend_on() -> None:
    graph = Graph([step("c", "b"), step("b", "a"), step("x"), step("a")])
    assert [one.id for one in graph.steps] == ["x", "a", "b", "c"]
    assert graph.after(["a"]) == {"b", "c"}
    bits = graph.before()
    assert {name for name, place in graph.places.items() if bits["c"] >> place & 1} == {"a", "b"}


@pytest.mark.parametrize(
    ("steps", "field", "words"),
    [
        ([step("a"), step("a")], "steps[1].id", "two steps have the id a, at 0 and 1"),
        ([step("a"), step("b", "x")], "steps[1].depends_on[0]", "step b depends on x, which is no step: known are a, b"),
        ([step("a", "a")], "steps[0].depends_on", "a -> a"),
        (
            [step("r"), step("a", "c", "r"), step("b", "a"), step("c", "b"), step("d", "c")],
            "steps[1].depends_on",
            "a -> c -> b -> a",
        ),
    ],
)
def test_a_graph_that_has_no_order_is_refused(steps: list[Step], field: str, words: str) -> None:
    with pytest.raises(ValidationFailed, match=words.replace("[", r"\[")) as refused:
        Graph(steps)
    assert refused.value.details["field"] == field


def test_a_long_cycle_is_shown_in_part_and_told_whole() -> None:
    steps = [step(f"s{place}", f"s{(place + 1) % 1000}") for place in range(1000)]
    with pytest.raises(ValidationFailed, match=r"s0 -> s1 -> .*\.\.\. \(1000 steps\) -> s0 \(each") as refused:
        Graph(steps)
    assert len(refused.value.details["cycle"]) == 1001


def test_what_became_of_the_tasks_of_a_step() -> None:
    statuses = {1: Status.COMPLETED, 2: Status.FAILED, 3: Status.RUNNING}
    assert tally([1, 2, 3], statuses).stand is None
    assert tally([1], statuses).stand == Stand(COMPLETED)
    assert tally([2], statuses).stand == Stand(FAILED, "task: 2 failed")
    assert tally([1, 2, 4], statuses).stand == Stand(FAILED, "tasks of 3: 2 failed, 4 deleted")
    many = Tally(20, 0, cancelled=tuple(range(12)))
    assert many.stand == Stand(FAILED, "tasks of 20: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 others cancelled")


def test_a_failed_step_cancels_those_after_it_unless_they_take_it() -> None:
    graph = Graph([
        step("a"), step("b", "a"), step("c", "b"),
        step("mend", "b", run_if=RunIf.FAILURE), step("tidy", "c", run_if=RunIf.ALWAYS),
        step("x"), step("unneeded", "x", run_if=RunIf.FAILURE), step("after", "unneeded"),
    ])  # fmt: skip
    begun: list[str] = []

    def begin(one: Step) -> Stand:
        begun.append(one.id)
        return Stand(RUNNING)

    changed = dict(advance(graph, {"a": RUNNING, "x": COMPLETED}, lambda _: Stand(FAILED, "task: 7 failed"), begin))
    assert changed == {
        "a": Stand(FAILED, "task: 7 failed"),
        "b": Stand(CANCELLED, "step a failed"),
        "c": Stand(CANCELLED, "step b was cancelled"),
        "mend": Stand(RUNNING),
        "tidy": Stand(RUNNING),
        "unneeded": Stand(SKIPPED, "no step that it depends on failed"),
        "after": Stand(RUNNING),
    }
    assert begun == ["mend", "tidy", "after"]


def test_how_a_run_ends() -> None:
    graph = Graph([step("a"), step("b"), step("c", "b")])
    assert outcome(graph, {"a": COMPLETED}) is None
    assert outcome(graph, {"a": COMPLETED, "b": SKIPPED, "c": COMPLETED}) == (RunStatus.COMPLETED, None)
    assert outcome(graph, {"a": COMPLETED, "b": FAILED, "c": CANCELLED}) == (RunStatus.FAILED, "step b failed")
    assert outcome(graph, {"a": FAILED, "b": FAILED, "c": CANCELLED}) == (RunStatus.FAILED, "steps a, b failed")
    assert outcome(graph, {"a": COMPLETED, "b": CANCELLED, "c": CANCELLED}) == (RunStatus.FAILED, "steps b, c cancelled")


def test_what_is_done_again() -> None:
    graph = Graph([step("a"), step("b", "a"), step("c", "b"), step("x")])
    assert again(graph, ["a", "c"]).on == {"a"}
    assert again(graph, ["a", "c"]).anew == {"b", "c"}
    assert again(graph, ["x"]).anew == set()


# Against a model

OUTCOMES = st.sampled_from([COMPLETED, FAILED, SKIPPED])


@st.composite
def flows(draw: st.DrawFn) -> tuple[list[Step], dict[str, StepStatus]]:
    count = draw(st.integers(1, 12))
    order = draw(st.permutations(range(count)))
    steps = []
    for place in range(count):
        before = draw(st.lists(st.sampled_from(range(place)), unique=True, max_size=4)) if place else []
        steps.append(step(f"s{place}", *(f"s{one}" for one in before), run_if=draw(st.sampled_from(RunIf))))
    return [steps[place] for place in order], {one.id: draw(OUTCOMES) for one in steps}


def model(steps: list[Step], ends: Mapping[str, StepStatus]) -> dict[str, StepStatus]:
    """How each step ends, said recursively."""
    by_id = {one.id: one for one in steps}

    def end(step_id: str) -> StepStatus:
        before = [end(one) for one in by_id[step_id].depends_on]
        failed = FAILED in before or CANCELLED in before
        match by_id[step_id].run_if, failed:
            case RunIf.SUCCESS, True:
                return CANCELLED
            case RunIf.FAILURE, False:
                return SKIPPED
            case _:
                return ends[step_id]

    return {step_id: end(step_id) for step_id in by_id}


@given(flows(), st.integers(0, 2**32))
def test_random_graphs_end_as_the_model_says_whatever_ends_first(
    flow: tuple[list[Step], dict[str, StepStatus]], seed: int
) -> None:
    steps, ends = flow
    chance = random.Random(seed)
    graph = Graph(steps)
    now: dict[str, StepStatus] = {}
    over: set[str] = set()
    begun: list[str] = []

    def begin(one: Step) -> Stand | None:
        if chance.random() < 0.2:
            return None  # no room
        begun.append(one.id)
        return Stand(SKIPPED) if ends[one.id] is SKIPPED else Stand(RUNNING)

    def look(one: Step) -> Stand | None:
        return Stand(ends[one.id]) if one.id in over else None

    for _ in range(200):
        running = [step_id for step_id, status in now.items() if status is RUNNING]
        over.update(step_id for step_id in running if chance.random() < 0.5)
        now |= {step_id: stand.status for step_id, stand in advance(graph, now, look, begin)}
        if outcome(graph, now) is not None:
            break
    assert now == model(steps, ends)
    assert len(begun) == len(set(begun))
    assert outcome(graph, now) is not None
    assert (outcome(graph, now)[0] is RunStatus.FAILED) == (FAILED in now.values())  # type: ignore[index]
