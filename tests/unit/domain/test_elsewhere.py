"""Bodies of other schedulers are told from ours, and the printed ones are due when their documents say."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import cron, elsewhere
from orchestrator.domain.drafting import new_task
from orchestrator.domain.moments import millis, moment
from orchestrator.domain.rules import Defaults
from tests.jobs_elsewhere import AGENT_JOBS, COMMON, INCOMPLETE, TIMER_JOBS, Times
from worker_client.contract.tasks import CreateTask
from worker_client.errors import ValidationFailed

MIDNIGHT = millis(datetime(2026, 3, 1, tzinfo=UTC))


def due(expression: str, zone: str = "UTC", after: int = MIDNIGHT) -> Times:
    found = cron.parse(expression, zone).between(after, after + 200 * 86_400_000, 3)
    return tuple(f"{moment(at):%d %H:%M:%S}" for at in found)


@pytest.mark.parametrize(
    ("job", "times"), [*TIMER_JOBS, *AGENT_JOBS], ids=lambda value: str(value.get("name")) if isinstance(value, dict) else ""
)
def test_a_printed_job_is_a_schedule(job: dict[str, Any], times: Times) -> None:
    found = elsewhere.schedule(job, "/default")
    assert found is not None
    assert not found.at_once
    assert found.schedule.task is not None
    new_task(found.schedule.task, Defaults())
    assert (found.schedule.name, found.schedule.description) == (job["name"], job.get("desc") or job.get("description"))
    assert due(found.schedule.cron) == times


@pytest.mark.parametrize(("expression", "times"), COMMON.items())
def test_expressions_that_are_explained(expression: str, times: Times) -> None:
    assert due(expression) == times


def test_a_zone_moves_the_times() -> None:
    assert due("0 0 2 * * *", "Asia/Shanghai") == ("01 18:00:00", "02 18:00:00", "03 18:00:00")


def test_an_incomplete_job_says_what_it_lacks() -> None:
    for take in (elsewhere.schedule, elsewhere.task):
        with pytest.raises(ValidationFailed, match="`agent_config` is missing"):
            take(INCOMPLETE, "/default")


def test_a_task_without_a_time_is_a_task() -> None:
    job = {name: value for name, value in AGENT_JOBS[0][0].items() if name != "cron_expression"}
    assert isinstance(elsewhere.task(job, "/default"), CreateTask)
    assert isinstance(elsewhere.task(AGENT_JOBS[0][0], "/default"), elsewhere.Adopted)


@pytest.mark.parametrize(
    "ours",
    [{}, {"name": "n", "cron": "@daily", "command": {"name": "c"}}, {"prompt": "x", "work_directory": "/a"}, [], None, "x"],
)
def test_what_is_ours_stays_ours(ours: Any) -> None:
    assert elsewhere.schedule(ours, "/default") is None
    assert elsewhere.task(ours, "/default") is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"state": 3}, "state"),
        ({"mode": "shell"}, "mode"),
        ({"allow_mode": "1"}, "allow_mode"),
        ({"nmae": "x"}, "nmae"),
        ({"max_run_count": -1}, "max_run_count"),
        ({"desc": "\0"}, "desc"),
        ({"cron_expr": None}, "cron_expr"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationFailed) as error:
        elsewhere.schedule({**TIMER_JOBS[0][0], **fields}, "/default")
    assert error.value.details["field"] == field


@pytest.mark.parametrize("take", [elsewhere.schedule, elsewhere.task])
@pytest.mark.parametrize(
    ("fields", "field"), [({"cron_expression": "0 0 31 2 *"}, "cron_expression"), ({"timezone": "x"}, "timezone")]
)
def test_a_time_that_never_comes_is_refused(take: Callable[[Any, str], Any], fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationFailed) as error:
        take({**AGENT_JOBS[0][0], **fields}, "/default")
    assert error.value.details["field"] == field


@pytest.mark.parametrize("page", ["timerjobs", "ai-schedule"])
def test_the_job_on_the_page_is_a_job(page: str) -> None:
    text = (Path(__file__).parents[3] / f"docs/coming-from/{page}.md").read_text(encoding="utf-8")
    first = re.findall(r"(?s)```json\n(.*?)```", text)[0]
    assert elsewhere.schedule(json.loads(first), "/default") is not None
