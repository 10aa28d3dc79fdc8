"""The list of events is that of the code: every type that is written somewhere, with what its data has."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orchestrator.domain.moves import Facts
from worker_client.contract.enums import RunStatus
from worker_client.contract.happenings import DATA, HAPPENINGS

SOURCE: Final = Path(__file__).parents[2] / "orchestrator"
TELLING: Final = {
    ("happened", ""): "task.",
    ("told", "run_rows"): "run.",
    ("told", "schedule_firing.py"): "schedule.",
    ("told", "schedules.py"): "schedule.",
    ("told", "schedules_running.py"): "schedule.",
    ("told", "notification_rules.py"): "notification.",
    ("told", "notifying.py"): "notification.",
    ("_told", "deploying.py"): "workflow.",
    ("_told", "defining.py"): "workflow.",
    ("Noted", ""): "",
    ("_noted", ""): "",
    ("Note", ""): "",
    ("Happened", ""): "",
}
"""What writes an event: a function, and the module that has or calls it; with what its first argument goes on from."""
ELSEWHERE: Final = {
    # Said by a variable, or by an expression.
    *(f"run.{status}" for status in RunStatus if status is not RunStatus.RUNNING),
    "task.failed", "task.expired", "task.released", "task.undelivered", "task.parked", "task.ready", "task.drain_requested",
    "scheduler.started", "scheduler.stopped", "address.added", "address.removed", "task.waiting_long",
    "command.created", "command.changed", "command.deleted",
}  # fmt: skip


def calls() -> Iterator[tuple[str, set[str]]]:
    """The types that calls write which name them, with the names of what they tell."""
    for path in [SOURCE / "reloading.py", *(SOURCE / "domain").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).split(".")
            told = {TELLING.get((called[-1], place)) for place in ("", path.name, *called[:-1])} - {None}
            kinds = [one.value for one in node.keywords if one.arg == "type"] or node.args[:1]
            if told and kinds and isinstance(kinds[0], ast.Constant) and isinstance(kinds[0].value, str):
                names = {one.arg for one in node.keywords if one.arg not in {None, "type", "data", "run_id", "schedule_id"}}
                yield f"{told.pop()}{kinds[0].value}", {name for name in names if name}


def test_every_type_that_is_written_is_listed_with_what_it_tells() -> None:
    written: dict[str, set[str]] = {kind: set() for kind in ELSEWHERE}
    for kind, names in calls():
        written[kind] = written.get(kind, set()) | names
    assert set(written) == set(HAPPENINGS)
    assert len(written) - len(ELSEWHERE) > 30
    for kind, names in written.items():
        assert names <= set(HAPPENINGS[kind].data), kind


def test_all_that_data_may_have_is_explained() -> None:
    named = {name for happening in HAPPENINGS.values() for name in happening.data}
    assert named == set(DATA)
    assert set(Facts.__struct_fields__) <= named
