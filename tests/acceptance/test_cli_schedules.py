"""`orchestrator schedule`, `workflow`, `run`, `trigger` and `command`, against a real server."""

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from orchestrator.cli.timetable import when
from tests.acceptance.programs import Server, serving
from tests.acceptance.told import Told

WORKFLOW = """
name: release
input: {branch: main}
triggers: [{type: manual, confirm: true}]
steps:
  - {id: build, task: {kind: script, work_directory: /srv, spec: {command: "make {{ input.branch }}"}}}
  - {id: ship, depends_on: [build], task: {prompt: Ship, work_directory: /srv}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def told(server: Server) -> Told:
    return Told(server)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


def test_times_are_shown_in_the_zone_of_the_user_with_that_of_the_schedule(berlin: None) -> None:
    at = datetime(2030, 1, 31, 23, 30, tzinfo=UTC)
    assert when(at, "Europe/Berlin") == "Fri 2030-02-01 00:30:00 CET"
    assert when(at, "Europe/Paris") == "Fri 2030-02-01 00:30:00 CET"
    assert when(at, "UTC") == "Fri 2030-02-01 00:30:00 CET (Thu 23:30 in UTC)"
    assert when(at, "Asia/Shanghai") == "Fri 2030-02-01 00:30:00 CET (07:30 in Asia/Shanghai)"
    assert when(at, "Mars/Base") == "Fri 2030-02-01 00:30:00 CET"
    assert when(None, "UTC") == ""


def test_the_life_of_a_schedule(told: Told, tmp_path: Path) -> None:
    added = told(
        *("schedule", "add", "0 2 * * *", "--name", "nightly", "--prompt", "Update the dependencies", "--dir", tmp_path),
        *(
            "--timezone",
            "Asia/Shanghai",
            "--overlap",
            "skip",
            "--missed-window",
            "2h",
            "--pause-after",
            "3",
            "--priority",
            "high",
        ),
    )
    first, words, *times = added.splitlines()
    assert re.match(r"schedule \d+ nightly is active, next ", first)
    assert words.endswith(" (Asia/Shanghai)")
    assert len(times) == 3
    assert all("02:00" in line for line in times)
    made = told.json("schedule", "show", "nightly")
    assert (made["task"]["prompt"], made["task"]["priority"], made["task"]["work_directory"]) == (
        "Update the dependencies", "high", str(tmp_path),
    )  # fmt: skip
    assert (made["overlap"], made["missed_window_seconds"], made["pause_after_failures"]) == ("skip", 7200, 3)

    assert "nightly fired: task " in told("schedule", "run", "nightly")
    (fire,) = told.json("schedule", "fires", str(made["id"]))["items"]
    task = told.json("show", str(fire["task_ids"][0]))
    assert (task["prompt"], task["schedule_id"], task["source"]) == ("Update the dependencies", made["id"], "schedule")

    assert [one["id"] for one in told.json("list", "--schedule", "nightly")["items"]] == [task["id"]]
    assert f"by schedule {made['id']}" in told("show", str(task["id"]))

    assert "paused" in told("schedule", "stop", "nightly", "--cancel")
    assert told.json("show", str(task["id"]))["status"] == "cancelled"
    assert told.json("schedule", "list", "--state", "paused")["total"] == 1
    assert "is active" in told("schedule", "start", "nightly")
    assert "is active" in told("schedule", "restart", "nightly")
    assert "0 3 * * *" in told.json("schedule", "change", "nightly", "--cron", "0 3 * * *")["cron"]
    backfilled = told("schedule", "backfill", "nightly", "--from", "2020-01-01T00:00Z", "--to", "2020-01-03T00:00Z")
    assert backfilled.startswith("schedule nightly: 2 times in this period, ")
    assert "nightly" in told("schedule", "list")
    assert "backfill" in told("schedule", "fires", "nightly")
    assert told("schedule", "delete", "nightly") == "schedule nightly is deleted\n"
    assert "no schedule has the name or the id 'nightly'" in told("schedule", "show", "nightly", code=Exit.NOT_FOUND)


def test_the_scheduler_is_stopped_and_started(told: Told) -> None:
    assert told("scheduler", "status").startswith("the scheduler is running\n")
    assert told("scheduler", "stop").startswith("the scheduler is stopped\n")
    assert told.json("scheduler", "status")["state"] == "stopped"
    assert told("scheduler", "start").startswith("the scheduler is running\n")


def test_expressions_are_told_in_words(told: Told) -> None:
    lines = told("schedule", "preview", "--cron", "0 9 * * MON-FRI", "--timezone", "Europe/Berlin", "-n", "4").splitlines()
    assert "(Europe/Berlin)" in lines[0]
    assert len(lines) == 5
    assert "31" in told("schedule", "preview", "--cron", "0 0 31 2 *", code=Exit.USAGE)
    assert "Mars/Base" in told("schedule", "preview", "--cron", "@daily", "--timezone", "Mars/Base", code=Exit.USAGE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["schedule", "add", "@daily", "--name", "x"], "nothing to do: give a prompt"),
        (["schedule", "add", "@daily", "--prompt", "x"], "--name"),
        (["schedule", "add", "@daily", "--name", "x", "--prompt", "x", "--use", "review"], "use one of them"),
        (["schedule", "add", "@daily", "--name", "x", "--workflow", "w", "--prompt", "x"], "use one of them"),
        (["schedule", "add", "@daily", "--name", "x", "--prompt", "x", "--input", "a=b"], "--input is for --workflow"),
        (["schedule", "add", "61 * * * *", "--name", "x", "--prompt", "x"], "61"),
        (["schedule", "change", "x"], "nothing to change"),
        (["schedule", "preview"], "name a schedule, or give an expression"),
        (["schedule", "preview", "x", "--cron", "@daily"], "name a schedule, or give an expression"),
        (["schedule", "preview", "x", "--timezone", "UTC"], "--timezone is for --cron"),
        (["add", "x", "--use", "review"], "use one of them"),
        (["add", "x", "--arguments", "y"], "name it with --use"),
        (["add", "--use", "x", "--arguments", "y", "--argument", "a=b"], "use one of them"),
        (["add", "--use", "../../x"], "command"),
        (["command", "add", "../../x", "prompt"], "name"),
        (["command", "add", "x"], "what is x to say?"),
        (["command", "change", "x"], "nothing to change"),
    ],
)
def test_wrong_usage_says_what_is_right(told: Told, arguments: list[str], words: str) -> None:
    assert words in " ".join(told(*arguments, code=Exit.USAGE).split())


def test_the_life_of_a_workflow(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(WORKFLOW, encoding="utf-8")
    assert re.match(r"workflow release \(wf_\w+\) version 1, 2 steps, not deployed\n", told("workflow", "add", file))
    assert "release" in told("workflow", "add", file, code=Exit.CONFLICT)
    assert "make {{ input.branch }}" in told("workflow", "show", "release")
    assert "not deployed" in told("workflow", "status", "release")
    assert "version 1 is deployed" in told("workflow", "deploy", "release")
    file.write_text(WORKFLOW.replace("Ship", "Ship it"), encoding="utf-8")
    assert "version 2" in told("workflow", "change", "release", file)
    assert "(the latest is 2)" in told("workflow", "status", "release")
    assert "release" in told("workflow", "list", "--deployed")

    assert "confirm" in told("trigger", "fire", "release", code=Exit.CONFLICT)
    assert re.match(r"fired: run \d+\n", told("trigger", "fire", "release", "--confirm", "--input", "branch=old"))
    (delivery,) = told.json("trigger", "deliveries", "release", "--outcome", "fired")["items"]
    run = told.json("run", "show", str(delivery["run_id"]))
    assert (run["version"], run["steps"]["build"]["status"]) == (1, "running")
    task = told.json("show", str(run["steps"]["build"]["task_ids"][0]))
    assert (task["spec"]["command"], task["run_id"]) == ("make old", run["id"])
    for which in (["--run", str(run["id"])], ["--workflow", "release"]):
        assert [one["id"] for one in told.json("list", *which)["items"]] == [task["id"]]
    assert f"by run {run['id']}, step build" in told("show", str(task["id"]))
    assert "manual" in told("trigger", "status", "release")
    assert "fired" in told("trigger", "deliveries", "release")

    begun = told.json("workflow", "run", "release", "--input", "branch=new")
    assert begun["version"] == 2
    assert "is cancelled" in told("run", "cancel", str(begun["id"]), "--reason", "wrong branch")
    assert "wrong branch" in told("run", "show", str(begun["id"]))
    assert "is running" in told("run", "resume", str(begun["id"]))
    assert {one["id"] for one in told.json("run", "list", "--workflow", "release", "--status", "running")["items"]} == {
        run["id"], begun["id"],
    }  # fmt: skip
    assert told("workflow", "stop", "release") == "workflow release: 2 runs cancelled\n"
    assert told("run", "list", "--status", "running") == "no runs\n"
    assert "not deployed" in told("workflow", "undeploy", "release")
    assert told("workflow", "delete", "release") == "workflow release is deleted\n"


def test_a_bad_definition_is_refused_with_its_place(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(WORKFLOW.replace("depends_on", "depend_on"), encoding="utf-8")
    assert f"{file}:7: `steps[1].depend_on` is not known here; did you mean `depends_on`?" in told(
        "workflow", "add", file, code=Exit.USAGE
    )
    file.write_text(f"{WORKFLOW}\n---\n{WORKFLOW}", encoding="utf-8")
    assert "has 2 documents" in told("workflow", "add", file, code=Exit.USAGE)


def test_the_life_of_a_command(told: Told, tmp_path: Path) -> None:
    assert told(
        "command", "add", "git/tidy", "Tidy ${branch}: $ARGUMENTS", "--argument", "branch=main", "--description", "Tidies"
    ) == ("command git/tidy is saved\n")
    assert "Tidies" in told("command", "list")
    assert "Tidy ${branch}" in told("command", "show", "git/tidy")
    task = told.json("add", "--use", "git/tidy", "--argument", "branch=old", "--dir", tmp_path)
    assert task["prompt"].startswith("Tidy old:")
    by_place = told.json("add", "--use", "git/tidy", "--arguments", "all of it", "--dir", tmp_path)
    assert "all of it" in by_place["prompt"]
    file = tmp_path / "prompt.md"
    file.write_text("Do $1 first", encoding="utf-8")
    assert told("command", "change", "git/tidy", "--file", file) == "command git/tidy is saved\n"
    assert told.json("command", "show", "git/tidy")["body"].strip() == "Do $1 first"
    told("schedule", "add", "@daily", "--name", "tidy", "--use", "git/tidy", "--arguments", "this", "--dir", tmp_path)
    told("schedule", "run", "tidy")
    (fire,) = told.json("schedule", "fires", "tidy")["items"]
    assert told.json("show", str(fire["task_ids"][0]))["prompt"].strip() == "Do this first"
    assert told("command", "delete", "git/tidy") == "command git/tidy is deleted\n"
    assert told("command", "show", "git/tidy", code=Exit.NOT_FOUND)
