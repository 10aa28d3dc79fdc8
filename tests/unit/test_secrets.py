"""Secrets: where they come from, what asks for them, and that they are never shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.domain.secrets import asked
from orchestrator.domain.task import Head, Inputs, Outputs, TaskView
from orchestrator.doors import secrets
from orchestrator.doors.secrets import Secrets, load
from orchestrator.settings import Hidden, Settings, SettingsError
from worker_client.errors import ValidationFailed

HEAD = Head(**dict.fromkeys(Head.__struct_fields__))  # type: ignore[arg-type]


def files(directory: Path, **contents: str | bytes) -> str:
    directory.mkdir(exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (directory / name).chmod(0o600)
    return str(directory)


def view(names: str, **inputs: Any) -> TaskView:
    return TaskView(head=replace(HEAD, secrets=names), inputs=Inputs(**{"prompt": None, **inputs}), outputs=Outputs())


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("hunter22", "hunter22"),
        ("hunter22\n", "hunter22"),
        ("hunter22\r\n", "hunter22"),
        ("hunter22\n\n", "hunter22\n"),
        ("  spaces stay ", "  spaces stay "),
        ("two\nlines\n", "two\nlines"),
        ("", ""),
    ],
)
def test_a_file_is_a_secret_less_one_line_end(tmp_path: Path, content: str, value: str) -> None:
    assert load(files(tmp_path, TOKEN=content), {}).values == {"TOKEN": value}


def test_only_files_with_names_of_secrets_count(tmp_path: Path) -> None:
    directory = files(tmp_path / "d", TOKEN="t", _x1="x")
    for name in (".hidden", "..data", "tls.crt", "my-key", "1st", "a" * 101, "TOKEN~"):
        (Path(directory) / name).write_text("no")
    (Path(directory) / "folder").mkdir()
    (Path(directory) / "LINKED").symlink_to("TOKEN")
    assert load(directory, {}).names == {"TOKEN", "_x1", "LINKED"}


def test_a_variable_goes_before_a_file(tmp_path: Path) -> None:
    known = load(files(tmp_path, A="file", B="file"), {"B": "variable", "C": "variable"})
    assert known.values == {"A": "file", "B": "variable", "C": "variable"}
    assert load("", {}).names == frozenset()


def test_what_cannot_be_a_secret_is_refused_unshown(tmp_path: Path) -> None:
    for name, content, words in (("BYTES", b"hunter22\xff", "not UTF-8"), ("LONG", "hunter22" * 10_000, "65536 bytes")):
        directory = files(tmp_path / name, **{name: content})
        with pytest.raises(SettingsError, match=rf"{name}.*{words}") as caught:
            load(directory, {})
        assert "hunter22" not in str(caught.value)
    with pytest.raises(SettingsError, match=r"secrets\.directory = '/none' cannot be read"):
        load("/none", {})


def test_files_that_everybody_can_read_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(secrets.log, "warning", lambda _, **facts: told.append(facts), raising=False)
    directory = files(tmp_path, OPEN="hunter22", CLOSED="hunter22")
    load(directory, {})
    assert told == []
    (tmp_path / "OPEN").chmod(0o604)
    load(directory, {})
    ((line,),) = [[one["files"]] for one in told]
    assert line == ["OPEN"]
    assert "hunter22" not in str(told)


def test_values_are_never_shown() -> None:
    known = Secrets({"TOKEN": "hunter22"})
    settings = Settings(secret_variables=Hidden({"TOKEN": "hunter22"}))
    for shown in (repr(known), str(known), f"{known}", repr(known.values), str(settings), repr(vars(known))):
        assert "hunter22" not in shown
        assert "TOKEN" in shown


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ({"prompt": "Use {{ secrets.TOKEN }} and {{secrets.b_2}}, {{  secrets.TOKEN  }}"}, "TOKEN b_2"),
        ({"prompt": None, "spec": '{"command":["curl",{"deep":["{{ secrets.A }}"]}],"{{ secrets.KEY }}":1}'}, "A KEY"),
        ({"prompt": "p", "environment": '{"TOKEN":"x{{ secrets.TOKEN }}y"}'}, "TOKEN"),
        ({"prompt": "{{ input.x }} { { secrets.A } } {{ secret.A }} {{ mysecrets.A }} secrets.A"}, ""),
        ({"prompt": "a workflow of GitHub: ${{ secrets.NPM_TOKEN }} ${{ secrets.my-key }}"}, ""),
        ({"prompt": "p", "description": "{{ secrets.A }}", "metadata": '{"a":"{{ secrets.A }}"}'}, ""),
    ],
)
def test_what_a_task_asks_for(inputs: dict[str, Any], names: str) -> None:
    assert asked(Inputs(**inputs)) == names


@pytest.mark.parametrize("text", ["{{ secrets.a-b }}", "{{ secrets. }}", "{{ secrets.A", "{{ secrets.A | up }}", "{{secrets.1}}"])
def test_what_only_begins_like_a_reference_is_refused(text: str) -> None:
    told = r"`tasks\[3\]\.spec` has '.*\{\{ ?secrets\..*write \{\{ secrets\.NAME \}\}"
    with pytest.raises(ValidationFailed, match=told) as caught:
        asked(Inputs(prompt="{{ secrets.A }}", spec=json.dumps({"command": text})), "tasks[3].")
    assert caught.value.details["field"] == "tasks[3].spec"


def test_a_claim_gets_the_values_and_nothing_else_of_the_task_changes() -> None:
    known = Secrets({"A": "aaa", "B": "bbb"})
    before = view("A B", prompt="{{ secrets.A }}{{ secrets.B }} ${{ secrets.A }}", description="{{ secrets.A }}")
    after = known.delivered(before)
    assert after.inputs.prompt == "aaabbb ${{ secrets.A }}"
    assert replace(after, inputs=replace(after.inputs, prompt=before.inputs.prompt)) == before
    assert known.delivered(view("", prompt="{{ secrets.A }}")).inputs.prompt == "{{ secrets.A }}"


@pytest.mark.parametrize("value", ['"', "\\", 'a"b\\c\nd\te', "{{ secrets.B }}", '","x":"', "\x01\x7f", "ü€😀", "\\g<0>\\1", ""])
def test_a_value_is_taken_as_it_is(value: str) -> None:
    known = Secrets({"A": value, "B": "never"})
    spec = {"command": ["x{{ secrets.A }}y"], "nested": {"{{ secrets.A }}": ["{{ secrets.A }}", 1, None]}}
    environment = {"TOKEN": "{{ secrets.A }}"}
    texts = {"spec": json.dumps(spec), "environment": json.dumps(environment)}
    given = known.delivered(view("A B", prompt="<{{ secrets.A }}>", **texts)).inputs
    assert given.prompt == f"<{value}>"
    assert given.spec is not None
    assert json.loads(given.spec) == {"command": [f"x{value}y"], "nested": {value: [value, 1, None]}}
    assert json.loads(given.environment) == {"TOKEN": value}


def test_only_what_the_claim_was_judged_by_is_given() -> None:
    known = Secrets({"A": "aaa", "B": "bbb"})
    both = "{{ secrets.A }} {{ secrets.B }} {{ secrets.GONE }}"
    assert known.delivered(view("A GONE", prompt=both)).inputs.prompt == "aaa {{ secrets.B }} {{ secrets.GONE }}"


def test_what_differs_is_named() -> None:
    before = Secrets({"SAME": "1", "OTHER": "1", "OLD": "1"})
    assert before.differing(Secrets({"SAME": "1", "OTHER": "2", "NEW": "1"})) == ["NEW", "OLD", "OTHER"]
