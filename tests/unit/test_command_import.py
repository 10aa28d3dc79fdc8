"""Commands in the files of others."""

from typing import Any

import pytest

from orchestrator.commands.importing import in_document, in_markdown, plain_name

FOURTH = [
    {"id": 1, "name": "Fix_Issue", "description": "Fixes", "content": "Fix $1", "created_at": "2025-01-01T00:00:00Z"},
    {"name": "git/clean up", "prompt": "Clean", "parameters": ["what", {"name": "how", "default": "well"}]},
]


def made(value: Any) -> dict[str, str]:
    return {one.made.name: one.made.body for one in in_document(value) if one.made is not None}


def test_lists_of_commands_are_taken_as_they_are_written() -> None:
    first, second = in_document(FOURTH)
    assert first.made is not None
    assert second.made is not None
    assert (first.made.name, first.made.body, first.made.description) == ("fix-issue", "Fix $1", "Fixes")
    assert first.made.settings == {"id": 1, "created_at": "2025-01-01T00:00:00Z"}
    assert [(one.name, one.default) for one in second.made.arguments] == [("what", None), ("how", "well")]
    assert second.made.name == "git/clean-up"
    both = {"fix-issue": "Fix $1", "git/clean-up": "Clean"}
    assert made({"commands": FOURTH}) == both
    assert made({"fix-issue": "Fix $1", "git/clean-up": {"body": "Clean"}}) == both
    assert made(FOURTH[0]) == {"fix-issue": "Fix $1"}
    assert made([]) == {}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("text", "no list of commands"),
        (5, "no list"),
        (["text"], "no object"),
        ([{"body": "x"}], "no `name`"),
        ([{"name": "x"}], "no text, which is looked for in `body`, `content`"),
        ([{"name": "x", "body": ["y"]}], "no text"),
        ([{"name": "x", "body": "  "}], "empty"),
        ([{"name": "代码审查", "body": "x"}], "cannot be a name"),
        ([{"name": "../..", "body": "x"}], "cannot be a name"),
        ([{"name": "x", "body": "y", "description": 5}], "Expected `str`"),
        ([{"name": "x", "body": "y", "arguments": 5}], "no list"),
        ([{"name": "x", "body": "y", "arguments": [5]}], "Expected"),
        ([{"name": "x", "body": "y", "arguments": ["a", "a"]}], "twice"),
        ({"x": 5}, "no text"),
    ],
)
def test_what_is_none_says_why(value: Any, says: str) -> None:
    (one,) = in_document(value)
    assert one.made is None
    assert says in one.problem


@pytest.mark.parametrize(
    ("name", "plain"), [("../../x", "x"), ("/A b/C", "a-b/c"), ("x--y", "x-y"), ("a/../b", "a/b"), ("é", ""), ("--", "")]
)
def test_a_name_is_made_plain(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_a_markdown_file_is_one() -> None:
    one = in_markdown("---\ndescription: D\nmodel: opus\n---\nDo $ARGUMENTS", "Fix Issue")
    assert one.made is not None
    assert (one.made.name, one.made.description, one.made.settings) == ("fix-issue", "D", {"model": "opus"})
    assert "no text" in in_markdown("", "x").problem
    assert "cannot be a name" in in_markdown("x", "é").problem
