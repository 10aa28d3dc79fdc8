"""Commands: files with front matter, and arguments in their places."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.command import Command
from orchestrator.domain.commands import command, parse, prompt, written
from orchestrator.domain.filling import filled, words
from orchestrator.domain.secrets import REFERENCE
from worker_client.contract.commands import Argument, CreateCommand
from worker_client.errors import ValidationFailed

CLAUDE = """---
allowed-tools: Bash(git add:*), Bash(git status:*)
argument-hint: [pr-number] [priority] [assignee]
description: Review a pull request
model: claude-opus
disable-model-invocation: true
---

Review PR #$1 with priority $2 and assign it to $3.

!`git status`
@src/main.py costs \\$5, $HOME and ${HOME} stay.
"""
FILE = Argument(name="file", required=True)
HOW = Argument(name="how", default="fast")


def fill(body: str, arguments: Any, *declared: Argument, most: int = 1000) -> str:
    return filled(body, declared, arguments, most, "arguments")


def test_a_file_of_an_agents_slash_commands() -> None:
    read = parse(CLAUDE, "review")
    assert read.problem is None
    assert read.description == "Review a pull request"
    assert read.settings == {
        "allowed-tools": "Bash(git add:*), Bash(git status:*)",
        "argument-hint": "[pr-number] [priority] [assignee]",
        "model": "claude-opus",
        "disable-model-invocation": True,
    }
    assert prompt("review", '456 "very high" me', {"review": read}, 1000) == (
        "Review PR #456 with priority very high and assign it to me.\n\n"
        "!`git status`\n@src/main.py costs \\$5, $HOME and ${HOME} stay."
    )
    assert parse(written(read), "review") == read


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("Just a prompt", {"body": "Just a prompt"}),
        ("\ufeff---\r\ndescription: x\r\n---\r\nBody\r\n", {"body": "Body", "description": "x"}),
        ("---\n---\nBody", {"body": "Body"}),
        ("---\ndescription: 5\n---\n\n\n  Body\n\n", {"body": "  Body", "description": "5"}),
        ("---\narguments: [file, how]\n---\nB", {"arguments": (Argument(name="file"), Argument(name="how"))}),
        ("---\narguments: file how\n---\nB", {"arguments": (Argument(name="file"), Argument(name="how"))}),
        ("---\narguments:\n- name: file\n  required: true\n- {name: how, default: fast}\n---\nB", {"arguments": (FILE, HOW)}),
        ("---\ndate: 2024-01-01\n---\nB", {"settings": {"date": "2024-01-01"}}),
        ("---\nallowed-tools:\n  - Read\n  - Edit\n---\nB", {"settings": {"allowed-tools": ["Read", "Edit"]}}),
        ("--- no front matter\nB", {"body": "--- no front matter\nB"}),
        ("---\nhint: a: b: c\nmodel: x\n---\nB", {"settings": {"hint": "a: b: c", "model": "x"}}),
    ],
)
def test_a_file_says(text: str, has: dict[str, Any]) -> None:
    read = parse(text, "git/x")
    assert read.problem is None
    assert {name: getattr(read, name) for name in has} == has
    assert parse(written(read), "git/x") == read


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("---\ndescription: x\nBody", "x", "no second one"),
        ("---\n- a\n---\nB", "x", "no fields"),
        ("---\njust text\n---\nB", "x", "no fields"),
        ("---\n1: 2\n---\nB", "x", "whose name is no text"),
        ("---\na: &b [1]\nc: *b\n---\nB", "x", "alias"),
        ("---\na: [1\n  b: ]\n---\nB", "x", "`a`"),
        ("---\na: .inf\n---\nB", "x", "without an end"),
        ("---\na: !!binary aGVsbG8=\n---\nB", "x", "no text, number"),
        ("---\na: !!python/object/apply:os.system [x]\n---\nB", "x", None),
        ("---\na: " + "[" * 30 + "]" * 30 + "\n---\nB", "x", "nested"),
        ("---\na: " + "[" * 30_000 + "\n---\nB", "x", "nested"),
        ("---\na: " + "x" * 70_000 + "\n---\nB", "x", "65,536"),
        ("---\ndescription: [a]\n---\nB", "x", "`description`"),
        ("---\ndescription: " + "x" * 10_001 + "\n---\nB", "x", "10000"),
        ("---\narguments: 5\n---\nB", "x", "`arguments`"),
        ("---\narguments: [{nam: x}]\n---\nB", "x", "nam"),
        ("---\narguments: ['a b']\n---\nB", "x", "arguments"),
        ("---\narguments: [a, a]\n---\nB", "x", "twice"),
        ('---\na: "x\\0"\n---\nB', "x", "cannot be kept"),
        ('---\na: ["\\ud800"]\n---\nB', "x", "cannot be kept"),
        ('---\narguments: [{name: a, default: "\\ud800"}]\n---\nB', "x", "cannot be kept"),
        ("---\na: b\n---\n \n", "x", "no text"),
        ("", "x", "no text"),
        ("a\0b", "x", "NUL"),
        ("B", "Big", "its name"),
        ("B", "../x", "its name"),
        ("B", "a//b", "its name"),
        ("B", "/".join("abcdefghi"), "its name"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text: str, name: str, says: str | None) -> None:
    read = parse(text, name)
    if says is None:
        assert read.problem is None or "nested" in read.problem or "YAML" in read.problem
        return
    assert says in (read.problem or "")
    with pytest.raises(ValidationFailed) as refused:
        prompt(name, None, {name: read}, 1000)
    assert "cannot be used" in refused.value.message


TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
NAMES = st.text("abz019_", min_size=1, max_size=8).map(lambda name: f"a{name}")


@settings(max_examples=50)
@given(
    TEXT,
    TEXT,
    st.lists(
        st.builds(Argument, name=NAMES, default=st.none() | st.text(), required=st.booleans()), unique_by=lambda one: one.name
    ),
    st.dictionaries(TEXT.filter(lambda name: name not in {"name", "description", "arguments"}), JSON, max_size=2),
)
def test_what_is_written_is_read_as_it_was(
    body: str, description: str, arguments: list[Argument], fields: dict[str, Any]
) -> None:
    sent = CreateCommand(name="x", body=body or "x", description=description, arguments=arguments, settings=fields)
    try:
        made = command(sent)
        text = written(made)
    except ValidationFailed:
        return  # what could not be read again is refused
    if "\0" not in made.body:
        assert parse(text, "x") == made


@pytest.mark.parametrize(
    ("body", "arguments", "declared", "comes_to"),
    [
        ("fix $ARGUMENTS now", "the  'big bug' ", [], "fix the  'big bug' now"),
        ("fix $ARGUMENTS", None, [], "fix "),
        ("fix $ARGUMENTS", "don't \"do", [], "fix don't \"do"),
        ("$1-$2-$10", "a 'b c' 3 4 5 6 7 8 9 ten", [], "a-b c-ten"),
        ("$1-$2", "a", [], "a-"),
        ("$ARGUMENTS[0]+$ARGUMENTS[1]", "a b", [], "a+b"),
        ("$ARGUMENTS_X $ARGUMENTSX $0 $", "", [], "$ARGUMENTS_X $ARGUMENTSX $0 $"),
        ("\\$1 \\$ARGUMENTS \\${file} $1", "x", [FILE], "\\$1 \\$ARGUMENTS \\${file} x"),
        ("${file} ${how} $file $how ${other}", "a.py", [FILE, HOW], "a.py fast a.py fast ${other}"),
        ("${file} ${how}", {"file": "a b", "how": None}, [FILE, HOW], "a b fast"),
        ("${file} ${other}", {"file": 3, "other": [1, {"a": True}]}, [FILE], '3 [1,{"a":true}]'),
        ("$ARGUMENTS|$1|$2", {"how": "slow", "file": "a"}, [FILE, HOW], "a slow|a|slow"),
        ("$1 $1", "$1", [], "$1 $1"),
        ("${file}", {"file": "$ARGUMENTS ${file}"}, [FILE], "$ARGUMENTS ${file}"),
        ("no places", "", [FILE.__class__(name="x")], "no places"),
    ],
)
def test_arguments_in_their_places(body: str, arguments: Any, declared: list[Argument], comes_to: str) -> None:
    assert fill(body, arguments, *declared) == comes_to


@pytest.mark.parametrize(
    ("body", "arguments", "declared", "says"),
    [
        ("${file}", None, [FILE], "has no 'file', which the command requires"),
        ("${file}", {}, [FILE], "has no 'file'"),
        ("${file}", {"file": None}, [FILE], "has no 'file'"),
        (
            "${file}",
            {"file": "a", "fiel": "b"},
            [FILE, HOW],
            "has 'fiel', which the command does not know; there are `file`, `how`",
        ),
        ("x", {"a": "b"}, [], "there are none"),
        ("$1", "a b", [], "has 'b', for which the command has no place"),
        ("no place", "a", [], "has 'a', for which"),
        ("$1" * 300, "a" * 10, [], "more than 1,000"),
        ("$ARGUMENTS" * 100_000, "a" * 1_000_000, [], "more than 1,000"),
    ],
)
def test_arguments_that_do_not_fit_are_named(body: str, arguments: Any, declared: list[Argument], says: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        fill(body, arguments, *declared)
    assert says in refused.value.message
    assert refused.value.details["field"] == "arguments"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", []),
        ("  a\tb\n c ", ["a", "b", "c"]),
        ("a'b c'd \"e f\"", ["ab cd", "e f"]),
        ("'' \"\"", ["", ""]),
        (r'"a \" b" \'x a\ b', ['a " b', "'x", "a b"]),
        (r"C:\dir\new 'C:\x y'", [r"C:\dir\new", r"C:\x y"]),
        ("don't stop", ["don't", "stop"]),
        ('"' + '\\"' * 100_000, None),
        ("'" * 99_999, None),
    ],
)
def test_words_are_a_shells(text: str, read: list[str] | None) -> None:
    found = ["".join(word) for word in words(text)]
    assert read is None or found == read


def test_an_unknown_command_is_told_with_those_that_are_like_it() -> None:
    known = {name: Command(name=name, body="x") for name in ("review", "git/review", "test")} | {
        "rev": Command(name="rev", problem="x")
    }
    with pytest.raises(ValidationFailed, match="`review`"):
        prompt("reviw", None, known, 10)
    with pytest.raises(ValidationFailed, match="there are `git/review`, `review`, `test`"):
        prompt("zzz", None, known, 10)
    with pytest.raises(ValidationFailed, match="there are none"):
        prompt("zzz", None, {}, 10)


OWN = "{{ secrets.OWN }}"
EVIL = "{{ secrets.EVIL }}"


def test_a_command_and_arguments_may_refer_to_secrets_each_by_itself() -> None:
    assert fill(f"{OWN} $ARGUMENTS", EVIL) == f"{OWN} {EVIL}"
    assert fill("${a}", {"a": EVIL}) == EVIL


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ("{$1", "'{ secrets.EVIL }}'"),
        ("{{ secrets.$1 }}", "EVIL"),
        ("{{ secrets.${a} }}", {"a": "EVIL"}),
        ("${a}${b}", {"a": "{", "b": "{ secrets.EVIL }}"}),
        ("$1 $2 $3", EVIL),
        ("$1", "'{'\"{ secrets.EVIL }}\""),
        ("$1", "'{'{\\ secrets.EVIL\\ }}"),
        ("$1", '"{\\"{ secrets.EVIL }}"'),
        ("$ARGUMENTS", {"a": "{{", "b": "secrets.EVIL }}"}),
        ("$1$2", {"a": "{{", "b": "secrets.EVIL }}"}),
    ],
)
def test_no_two_of_them_make_a_reference(body: str, arguments: Any) -> None:
    declared = (Argument(name="a"), Argument(name="b"))
    assert REFERENCE.findall(fill(body, arguments, *declared)) == []


@given(
    st.text("{} '\"\\secrt.$EVIL", max_size=30),
    st.sampled_from(["$1", "$ARGUMENTS", "{$1", "{{ $1", "$1$2", "${a}{$ARGUMENTS", "$2$1$ARGUMENTS"]),
)
def test_a_text_without_a_reference_brings_none(text: str, body: str) -> None:
    if not REFERENCE.search(text):
        try:
            made = fill(body, text, Argument(name="a"))
        except ValidationFailed:
            return
        assert not REFERENCE.search(made)
