"""`orchestrator apply`, as somebody uses it who keeps definitions in a repository."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.programs import ROOT, Server, serving, until, working
from tests.acceptance.told import Told
from worker_client import Client

EXAMPLES = re.findall(r"```(yaml|toml|json)\n(.*?)```", (ROOT / "docs/apply.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def told(server: Server) -> Iterator[Told]:
    yield Told(server)
    with Client(server.url) as client:
        for schedule in client.schedules(limit=1000).items:
            if schedule.workflow_id is None:
                client.delete_schedule(schedule.id)
        for workflow in client.workflows(limit=1000).items:
            client.undeploy_workflow(workflow.id)
            client.stop_workflow(workflow.id)
            client.delete_workflow(workflow.id)
        for rule in client.notification_rules(limit=1000).items:
            client.delete_notification_rule(rule.id)
        for command in client.commands(limit=1000).items:
            client.delete_command(command.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "automation"
    made.mkdir()
    return made


def test_the_examples_of_the_documentation(told: Told, folder: Path) -> None:
    for place, (kind, text) in enumerate(EXAMPLES):
        (folder / f"{place}.{kind}").write_text(text, encoding="utf-8")
    foreseen = told("apply", "-f", folder, "--dry-run", code=Exit.DIFFERS)
    expected = [
        "+ create command review", "+ create command git/tidy", "+ create workflow release", "> deploy workflow release",
        "    deployed_version: none -> 1", "+ create schedule nightly-review", "+ create schedule weekly-release",
        "+ create schedule cleanup", "+ create notification failures",
    ]  # fmt: skip
    assert foreseen.splitlines() == [*expected, "8 changes to make; nothing was changed (dry run)"]
    assert told("command", "list").startswith("no commands")
    assert told("apply", "-f", folder).splitlines() == [*expected, "8 changes made"]
    assert told("apply", "-f", folder) == "nothing to do: 7 definitions are as declared\n"
    assert told("apply", "-f", folder, "--dry-run") == "nothing to do: 7 definitions are as declared\n"
    made = {one["name"]: one for one in told.json("schedule", "list")["items"]}
    assert (made["nightly-review"]["timezone"], made["cleanup"]["timezone"]) == ("Europe/Berlin", "UTC")
    assert made["weekly-release"]["workflow"]["id"] == told.json("workflow", "show", "release")["id"]
    assert told.json("workflow", "status", "release")["version"] == 1


DEFINED = """
commands: [{name: greet, body: "Greet ${who}", arguments: [{name: who, default: you}]}]
workflows:
  - name: pipeline
    deploy: true
    triggers: [{type: manual}]
    steps: [{id: one, task: {kind: script, work_directory: ., spec: {command: "echo one"}}}]
schedules:
  - {name: often, cron: "@hourly", task: {work_directory: ., prompt: Look}}
  - {name: runs, cron: "@daily", workflow: {name: pipeline}}
notifications:
  - {name: failures, events: [task.failed], work_path: [.], slack: {url: "https://example.org/T0/secret"}}
"""


def test_only_what_differs_is_changed_and_told_field_by_field(told: Told, folder: Path) -> None:
    file = folder / "all.yaml"
    file.write_text(DEFINED, encoding="utf-8")
    told("apply", "-f", file)
    before = {one["name"]: one for one in told.json("schedule", "list")["items"]}
    told("schedule", "stop", "often")
    told("notify", "off", "failures")
    file.write_text(
        DEFINED.replace("@hourly", "@daily")
        .replace("prompt: Look", "prompt: Look twice")
        .replace("echo one", "echo two")
        .replace("task.failed]", "task.failed, task.expired]"),
        encoding="utf-8",
    )
    changes = [
        "~ change workflow pipeline",
        '    steps[0].task.spec.command: "echo one" -> "echo two"',
        "> deploy workflow pipeline",
        "    deployed_version: 1 -> 2",
        "~ change schedule often",
        '    cron: "@hourly" -> "@daily"',
        '    task.prompt: "Look" -> "Look twice"',
        "~ change notification failures",
        '    events: ["task.failed"] -> ["task.failed","task.expired"]',
    ]
    assert told("apply", "-f", folder).splitlines() == [*changes, "4 changes made"]
    (rule,) = told.json("notify", "list")["items"]
    assert (rule["enabled"], rule["slack"], rule["work_path"]) == (False, {"url": "***"}, [str(folder.resolve())])
    after = {one["name"]: one for one in told.json("schedule", "list")["items"]}
    assert after["runs"] == before["runs"]
    assert (after["often"]["id"], after["often"]["state"]) == (before["often"]["id"], "paused")
    assert told("apply", "-f", folder).startswith("nothing to do")
    file.write_text(
        DEFINED.replace("@hourly", "@daily").replace(
            "task: {work_directory: ., prompt: Look}", "tasks: [{work_directory: ., prompt: a}]"
        )
    )
    (change,) = [one for one in told.json("apply", "-f", folder)["changes"] if one["kind"] == "schedule"]
    assert [one["field"] for one in change["fields"]] == ["task", "tasks"]
    file.write_text(DEFINED.replace('slack: {url: "https://example.org/T0/secret"}', "email: {to: [ops@example.org]}"))
    shown = told("apply", "-f", folder)
    assert "T0/secret" not in shown
    assert '    email: none -> {"to":["ops@example.org"]}' in shown
    assert told("apply", "-f", folder).startswith("nothing to do")


def test_nothing_is_changed_when_anything_is_wrong(told: Told, folder: Path) -> None:
    good = folder / "a.yaml"
    good.write_text(DEFINED, encoding="utf-8")
    for text, words in (
        ("kind: schedule\nname: x\ncron: '0 0 31 2 *'\ntask: {prompt: x, work_directory: /a}\n", "31"),
        ("kind: schedule\nname: x\ncron: '@daily'\ntimezone: Mars/Base\ntask: {prompt: x, work_directory: /a}\n", "Mars/Base"),
        ("kind: schedule\nname: x\ncron: '@daily'\nworkflow: {name: unheard-of}\n", "unheard-of"),
        ("kind: workflow\nname: x\nsteps: [{id: a, depends_on: [b], task: {}}, {id: b, depends_on: [a], task: {}}]\n", "b"),
        ("kind: workflow\nname: x\nsteps: [{id: a, task: {prompt: '{{ steps.b.result }}'}}]\n", "uses `steps`"),
        (
            "kind: workflow\nname: x\ntriggers: [{type: pigeon}]\nsteps: [{id: a, task: {prompt: x, work_directory: /a}}]\n",
            "pigeon",
        ),
        ("kind: schedule\nname: x\ncron: '@daily'\ntask: {prompt: '{{ secrets.NONE }}', work_directory: /a}\n", "no secret NONE"),
        ("kind: schedule\nname: x\ncron: '@daily'\ntask: {prompt: x, work_directory: /a, key: constant}\n", "`task.key`"),
        ("kind: schedule\nname: x\ncron: '@daily'\ncommand: {name: unheard-of, work_directory: /a}\n", "unheard-of"),
        ("kind: schedule\nname: x\ncron: '@daily'\nprompt: x\n", "`prompt` is not known here"),
        ("kind: schedule\nname: x\ncron: '@daily'\n", "`task` is missing"),
        ("kind: notification\nname: x\nevents: ['*']\n", "`webhook`, `email` and `slack`"),
        ("kind: schedule\nname: x\ncron: '@daily'\ntasks: [{prompt: x}]\n", "`tasks[0].work_directory` is missing"),
    ):
        (folder / "z.yaml").write_text(text, encoding="utf-8")
        refused = told("apply", "-f", folder, code=Exit.USAGE)
        assert "z.yaml" in refused, refused
        assert words in refused
        assert told.json("command", "list")["total"] == 0


def test_pruning_deletes_what_an_apply_with_this_label_had_made_and_nothing_else(told: Told, folder: Path) -> None:
    (folder / "all.yaml").write_text(DEFINED, encoding="utf-8")
    told("schedule", "add", "@daily", "--name", "by-hand", "--prompt", "x")
    told("schedule", "add", "@daily", "--name", "runs", "--prompt", "x")
    told("apply", "-f", folder, "--label", "shop")
    assert told("apply", "-f", folder, "--label", "shop", "--prune").startswith("nothing to do")
    assert "label 'shop'" in told("apply", "-f", folder, "--label", "other", code=Exit.CONFLICT)
    assert "label 'shop'" in told("apply", "-f", folder, code=Exit.CONFLICT)
    assert "--prune needs --label" in told("apply", "-f", folder, "--prune", code=Exit.USAGE)
    other = folder.parent / "other"
    other.mkdir()
    (other / "a.yaml").write_text("kind: command\nname: theirs\nbody: x\n", encoding="utf-8")
    told("apply", "-f", other, "--label", "other", "--prune")
    (folder / "all.yaml").write_text("kind: command\nname: left\nbody: x\n", encoding="utf-8")
    lines = [
        "+ create command left",
        "- delete notification failures",
        "- delete schedule often",
        "- delete workflow pipeline",
        "- delete command greet",
    ]
    assert told("apply", "-f", folder, "--label", "shop", "--prune", "--dry-run", code=Exit.DIFFERS).splitlines()[:-1] == lines
    assert told("apply", "-f", folder, "--label", "shop", "--prune").splitlines()[:-1] == lines
    assert [one["name"] for one in told.json("schedule", "list")["items"]] == ["by-hand", "runs"]
    assert [one["name"] for one in told.json("command", "list")["items"]] == ["left", "theirs"]


def test_a_new_user_sees_a_worker_finish_what_a_folder_declares(server: Server, told: Told, folder: Path) -> None:
    shop = folder.parent / "shop"
    shop.mkdir()
    (folder / "all.yaml").write_text(
        """
workflows:
  - name: greet
    input: {who: world}
    steps:
      - id: hello
        task: {kind: script, work_directory: ../shop, spec: {command: "echo hello {{ input.who }} >> said"}}
      - id: bye
        depends_on: [hello]
        task: {kind: script, work_directory: ../shop, spec: {command: "echo bye >> said"}}
schedules:
  - {name: greetings, cron: "@daily", workflow: {name: greet, input: {who: you}}}
""",
        encoding="utf-8",
    )
    told("apply", "-f", folder)
    with working(server, shop):
        assert "run" in told("schedule", "run", "greetings")
        until(lambda: told.json("run", "list", "--status", "completed")["items"])
        done = told.json("workflow", "run", "greet", "--wait")
    assert {name: step["status"] for name, step in done["steps"].items()} == {"hello": "completed", "bye": "completed"}
    assert (shop / "said").read_text() == "hello you\nbye\nhello world\nbye\n"
    (fire,) = told.json("schedule", "fires", "greetings")["items"]
    assert (fire["kind"], fire["outcome"]) == ("manual", "fired")
    shutil.rmtree(shop)
