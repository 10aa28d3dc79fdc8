"""The messages that docs/troubleshooting.md explains are those that the programs say."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"(?m)^> (.+)$", PAGE)


def _text(node: ast.AST) -> str | None:
    """A string as it stands in the code, with ... for what is put in; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "..." for part in node.values)
    return None


@cache
def _said() -> str:
    """All strings of the programs, one a line."""
    files: list[Path] = [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "worker_client").rglob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    texts = (text for node in nodes if (text := _text(node)) is not None)
    return "\n".join({" ".join(text.split()) for text in texts})


def _is_said(message: str) -> bool:
    pattern = ".*".join(re.escape(part.strip()) for part in message.split("..."))
    return re.search(pattern, _said()) is not None


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_of_the_programs(message: str) -> None:
    assert len(message.replace("...", "").strip()) >= 6, "this could be anything"
    assert _is_said(message), "no program says so"


def test_there_are_messages_and_others_are_noticed() -> None:
    assert len(MESSAGES) > 40
    assert not _is_said("the database is on holiday, nothing was changed; try again")
    assert not _is_said("No worker has asked lately for ... tasks ... of ...: start two there.")


def test_reasons_and_types_are_those_of_the_code() -> None:
    reasons = PAGE[PAGE.index("| reason | what happened |") :].split("\n\n", 1)[0]
    types = PAGE[PAGE.index("| type of the error |") :].split("\n\n", 1)[0]
    for name in re.findall(r"(?m)^\| `(\w+)` \|", reasons + types):
        assert re.search(rf"(?m)^{name}$", _said()), name


def test_each_symptom_says_how_to_see_it() -> None:
    sections = re.split(r"(?m)^#{2,3} ", PAGE)[1:]
    symptoms = [section for section in sections if section.count("\n") > 3]
    assert len(symptoms) > 15
    assert [one.splitlines()[0] for one in symptoms if not re.search(r"(?m)^(> |```sh)|`orchestrator ", one)] == []
