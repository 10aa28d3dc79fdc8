"""What the pages about commands and templates say is so."""

import re
from pathlib import Path

import pytest
import yaml

from orchestrator.domain import templates
from orchestrator.domain.commands import parse, prompt
from orchestrator.domain.templates.filters import FILTERS
from orchestrator.domain.templates.predicates import TESTS
from worker_client.errors import ValidationFailed

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = (DOCS / "commands.md").read_text(encoding="utf-8")
TEMPLATES = (DOCS / "templates.md").read_text(encoding="utf-8")


def test_the_command_is_one() -> None:
    (text,) = re.findall(r"```markdown\n(.*?)```", COMMANDS, re.DOTALL)
    read = parse(text, "review")
    assert (read.problem, read.settings) == (None, {"argument-hint": "[what] [how]"})
    made = prompt("review", {"what": "src/cart.py"}, {"review": read}, 1000)
    assert made == "Review src/cart.py carefully, and write what you find to REVIEW.md."


def test_the_template_comes_to_a_task() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", TEMPLATES, re.DOTALL)
    body = yaml.safe_load(text)["task"]
    templates.check_body(body, {"input", "steps.build"}, "task")
    values = {
        "input": {"repository": "shop", "urgent": True, "title": "It broke", "minutes": 5},
        "steps": {"build": {"result": {"ok": False}}},
    }
    assert templates.render_body(body, values) == {
        "work_directory": "/srv/shop",
        "prompt": 'Now: It broke\nThe build said: {\n  "ok": false\n}\n',
        "priority": "urgent",
        "timeout_seconds": 300,
    }


def test_the_lists_are_whole() -> None:
    (filters,) = re.findall(r"(?ms)^Filters `(.*?)`;", TEMPLATES)
    (tests,) = re.findall(r"(?ms)^Tests `(.*?)`\.", TEMPLATES)
    assert filters.split() == sorted(FILTERS)
    assert tests.split() == sorted(TESTS)


@pytest.mark.parametrize("expression", ["range(9)", "x.upper()", "2 ** 3", "secrets.NAME | upper"])
def test_what_is_not_there_is_refused(expression: str) -> None:
    with pytest.raises(ValidationFailed):
        templates.check(f"{{{{ {expression} }}}}", {"x"}, "prompt")
