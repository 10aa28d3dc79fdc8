"""Files of definitions: all formats say the same, and what is wrong is named with its place."""

import json
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import documents
from orchestrator.cli.applying.comparing import Field, fields, same
from orchestrator.cli.applying.declared import declared
from worker_client.errors import ValidationFailed

YAML = """
schedules:
  - name: nightly
    cron: "0 2 * * *"
    starts_at: 2030-01-31T18:00:00Z
    max_runs: 3
    task: {prompt: "Do: it", work_directory: /repo/}
"""
TOML = """
[[schedules]]
name = "nightly"
cron = "0 2 * * *"
starts_at = 2030-01-31T18:00:00Z
max_runs = 3
task = {prompt = "Do: it", work_directory = "/repo/"}
"""
JSON = json.dumps(
    {
        "schedules": [
            {
                "name": "nightly",
                "cron": "0 2 * * *",
                "starts_at": "2030-01-31T18:00:00Z",
                "max_runs": 3,
                "task": {"prompt": "Do: it", "work_directory": "/repo/"},
            }
        ]
    }
)


def written(folder: Path, text: str, name: str = "all.yaml") -> Path:
    file = folder / name
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return file


def refused(folder: Path, text: str, name: str = "all.yaml") -> str:
    with pytest.raises(ValidationFailed) as caught:
        declared([written(folder, text, name)])
    return caught.value.message.replace(f"{folder}/", "")


@pytest.mark.parametrize(("name", "text"), [("a.yaml", YAML), ("a.yml", YAML), ("a.toml", TOML), ("a.json", JSON)])
def test_all_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (one,) = declared([written(tmp_path, text, name)])
    assert (one.kind, one.name, one.body.max_runs) == ("schedule", "nightly", 3)
    assert one.body.starts_at == datetime(2030, 1, 31, 18, tzinfo=UTC)
    assert one.body.task.work_directory == "/repo"


def test_a_folder_is_read_with_all_below_it_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    for place in ("b", "a/deep", ".git", "a/.old"):
        (tmp_path / place).mkdir(parents=True)
        name = place.replace("/", "-").strip(".")
        written(tmp_path / place, f"kind: command\nname: {name.replace('.', '')}\nbody: x\n")
    written(tmp_path, "# Words", "README.md")
    written(tmp_path, "kind: command\nname: one\nbody: x\n---\nkind: command\nname: two\nbody: y\n---\n")
    assert [one.name for one in declared([tmp_path])] == ["a-deep", "one", "two", "b"]
    assert [one.place.removeprefix(f"{tmp_path}/") for one in declared([tmp_path])][1:3] == [
        "all.yaml (document 1):1",
        "all.yaml (document 2):5",
    ]


def test_links_lead_to_nothing_outside(tmp_path: Path) -> None:
    within = tmp_path / "repo"
    (within / "commands").mkdir(parents=True)
    file = written(tmp_path, "kind: command\nname: one\nbody: x\n")
    (within / "same.yaml").symlink_to(written(within, "kind: command\nname: two\nbody: x\n").rename(within / ".two"))
    assert [one.name for one in declared([within])] == ["two"]
    for name in ("other.yaml", "commands/other.md"):
        (within / name).symlink_to(file)
        with pytest.raises(ValidationFailed, match=r"other\.\w+ leads out of"):
            declared([within])
        (within / name).unlink()


def test_commands_are_markdown_files_as_well(tmp_path: Path) -> None:
    (tmp_path / "shop" / "commands" / "git").mkdir(parents=True)
    head = "---\ndescription: Tidies\nargument-hint: [branch] [depth]\n---\n"
    written(tmp_path / "shop" / "commands" / "git", f"{head}Tidy $1\n", "tidy.md")
    (one,) = declared([tmp_path])
    assert (one.kind, one.name, one.body.body, one.body.description) == ("command", "git/tidy", "Tidy $1", "Tidies")
    assert one.body.settings == {"argument-hint": "[branch] [depth]"}
    written(tmp_path / "shop" / "commands", "", "Empty.md")
    with pytest.raises(ValidationFailed, match=r"Empty\.md: the command 'Empty' cannot be used"):
        declared([tmp_path])


def test_directories_are_relative_to_the_file_and_templates_stay(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    written(
        tmp_path / "jobs",
        """
        kind: workflow
        name: w
        deploy: true
        steps:
          - {id: here, task: {work_directory: .}}
          - {id: beside, task: {work_directory: ../shop}}
          - {id: there, task: {work_directory: ./x, host: other}}
          - {id: given, task: {work_directory: "{{ input.repo }}"}}
          - {id: whole, task: {work_directory: /srv//shop/}}
        """,
    )
    (one,) = declared([tmp_path])
    here = str(tmp_path.resolve())
    expected = [f"{here}/jobs", f"{here}/shop", "./x", "{{ input.repo }}", "/srv/shop"]
    assert [step.task["work_directory"] for step in one.body.steps] == expected
    assert one.deploy is True


def test_a_workflow_is_called_by_its_name(tmp_path: Path) -> None:
    (one,) = declared([written(tmp_path, "kind: schedule\nname: s\ncron: '@daily'\nworkflow: {name: release, input: {a: 1}}\n")])
    assert (one.uses, one.body.workflow.input) == ("release", {"a": 1})
    told = refused(tmp_path, "kind: schedule\nname: s\ncron: '@daily'\nworkflow: {name: release, id: wf_1}\n")
    assert told == "all.yaml:4: workflow: `id` and `name` both say which workflow; use one of them"


STEPS = "kind: workflow\nname: w\nsteps:\n  - id: a\n    task: {}\n    "


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("schedules:\n  - name: s\n    crn: x\n", "all.yaml:3: `schedules[0].crn` is not known here; did you mean `cron`?"),
        ("schedules:\n  - name: s\n", "all.yaml:2: `schedules[0].cron` is missing"),
        ("schedules:\n- name: s\n  cron: '@daily'\n  max_runs: 0\n", "all.yaml:4: `schedules[0].max_runs` is 0"),
        (f"{STEPS}retry: {{max: 3}}\n", "all.yaml:6: `steps[0].retry.max` is not known here; known are"),
        (f"{STEPS}depends_on: [b c]\n", "all.yaml:6: `steps[0].depends_on[0]` is"),
        ("schedule:\n  name: s\n", "all.yaml:1: schedule: unknown field `schedule`; expected `kind`"),
        ("kind: cron\n", "all.yaml:1: kind is 'cron'"),
        ("schedules: {}\n", "all.yaml:1: schedules: expected a list"),
        ("- a\n", "all.yaml:1: expected an object"),
        ("schedules: [1]\n", "all.yaml:1: schedules[0]: expected an object"),
        ("kind: workflow\nname: w\ndeploy: 1\nsteps: []\n", "all.yaml:3: deploy: expected true or false"),
        ("kind: command\nname: c\nbody: x\nmanaged_by: me\n", "all.yaml:4: managed_by: the label is given with --label"),
        ("kind: command\nname: ../../x\nbody: x\n", "all.yaml:2: `name` is"),
        ("---\n".join(["kind: command\nname: c\nbody: x\n"] * 2), "there is a command 'c' in all.yaml (document 1):1, too"),
        ("kind: command\nname: c\nname: d\nbody: x\n", "all.yaml: line 3: `name` stands twice"),
        ("kind: command\ntrue: c\n", "all.yaml: line 2: a name of a field is text, and this is True"),
        ("schedules:\n  - name: s\n    cron: * * * * *\n", "all.yaml:3: expected alphabetic or numeric character"),
        ("a: !!python/object/apply:os.system [x]\n", "line 1: the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: &a [*a]\n", "all.yaml: line 1: nested deeper than 100 levels"),
        ("", "nothing is declared"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    assert place in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", '{"kind": "command", "kind": "command"}', "a.json: `kind` stands twice in the same object"),
        ("a.json", "{", "a.json: Expecting property name"),
        ("a.json", "[" * 100_000, "a.json is nested deeper than"),
        ("a.toml", "kind = ", "a.toml: Invalid value (at end of document)"),
        ("a.toml", "[[schedules]]\nname = 's'\ncrn = 'x'", "a.toml: `schedules[0].crn` is not known here"),
        ("a.yaml", "a: " + "[" * 400, "a.yaml"),
        ("a.yaml", "a\0", "a.yaml"),
        ("a.ini", "", "a.ini is of no format that is known here"),
    ],
)
def test_every_format_says_what_is_wrong(tmp_path: Path, name: str, text: str, told: str) -> None:
    assert told in refused(tmp_path, text, name)


def test_what_is_no_text_and_what_is_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValidationFailed, match="no text in UTF-8"):
        declared([tmp_path])
    with pytest.raises(ValidationFailed, match=r"gone\.json cannot be read: No such file"):
        declared([tmp_path / "gone.json"])
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    with pytest.raises(ValidationFailed, match=r"endless\.json has more than 10,000,000 bytes"):
        declared([tmp_path / "endless.json"])


def test_aliases_are_known_and_make_no_small_file_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_NODES", 2_000)
    shared = "base: &base {prompt: x, work_directory: /a}\n"
    (read,) = documents.read(written(tmp_path, f"{shared}one: *base\ntwo: {{<<: *base, prompt: y}}\nmore: {{<<: [*base]}}\n"))
    base = {"prompt": "x", "work_directory": "/a"}
    assert read.value == {"base": base, "one": base, "two": {**base, "prompt": "y"}, "more": base}
    bombs = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases make more than 2,000 values" in refused(tmp_path, "\n".join(bombs))
    merged = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert "aliases make more than 2,000 values" in refused(tmp_path, "\n".join(merged))


def differing(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    return [(one.field, one.before, one.after) for one in fields(before, after)]


def test_differences_are_told_at_the_deepest_place_and_without_secrets() -> None:
    before = {"task": {"prompt": "x", "environment": {"A": "1"}}, "steps": [{"id": "a"}, {"id": "b"}], "gone": 1}
    after = {"task": {"prompt": "y", "environment": {"A": "2"}}, "steps": [{"id": "a"}, {"id": "c"}]}
    assert differing(before, after) == [
        ("task.prompt", "x", "y"),
        ("task.environment.A", "***", "***"),
        ("steps[1].id", "b", "c"),
        ("gone", 1, None),
    ]
    auth = [{"auth": {"type": "hmac", "secret": "***"}}]
    assert same(auth, [{"auth": {"type": "hmac", "secret": "clear"}}])
    assert not same(auth, [{"auth": {"type": "hmac", "secret": "{{ secrets.HOOK }}"}}])
    (moved,) = fields(auth, [{"auth": {"type": "token", "secret": "{{ secrets.HOOK }}"}}, {"token": "clear"}])
    assert moved == Field(
        field="", before=auth, after=[{"auth": {"type": "token", "secret": "{{ secrets.HOOK }}"}}, {"token": "***"}]
    )
