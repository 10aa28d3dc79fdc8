"""Templates: what they may say, what they come to, and how they say no."""

from typing import Any

import pytest

from orchestrator.domain import templates
from worker_client.errors import ValidationFailed

NAMES = frozenset({"input", "steps.build", "steps.test", "item"})
VALUES = {
    "input": {
        "title": "Fix it", "n": 3, "ratio": 0.5, "tags": ["b", "a", "b"], "none": None, "yes": True,
        "users": [{"name": "Ann", "age": 31}, {"name": "bob", "age": 7}], "deep": {"a": [{"b": "c"}]}, "empty": [],
    },
    "steps": {"build": {"status": "completed", "result": {"ok": True}}},
    "item": "x",
}  # fmt: skip


def refused(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(ValidationFailed) as raised:
        call(*arguments, **named)
    return raised.value.message


@pytest.mark.parametrize(
    ("text", "comes_to"),
    [
        ("nothing here", "nothing here"),
        ("a {{ input.title }} b\n", "a Fix it b\n"),
        ("{{ input['title'] }}{{ input.deep.a[0].b }}", "Fix itc"),
        ("{{ input.n + 1 }} {{ input.n * 2 - 1 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 1 / 4 }} {{ -input.n }}", "4 5 3 3 0.25 -3"),
        ("{{ 'a' + 'b' }}{{ 'n' ~ input.n ~ input.none }}{{ [1] + [2] }}", "abn3[1,2]"),
        ("{{ input.none }}|{{ input.yes }}|{{ input.tags }}|{{ {'a': 1} }}", '|true|["b","a","b"]|{"a":1}'),
        ("{% if input.n > 2 and not input.none %}yes{% elif item %}or{% else %}no{% endif %}", "yes"),
        ("{% if input.n > 9 %}yes{% elif item == 'x' %}or{% else %}no{% endif %}", "or"),
        ("{% if input.n is odd and item in 'xyz' and 'z' not in input.tags %}{{ 'in' if 1 < 2 <= 2 }}{% endif %}", "in"),
        ("{{ 'is' if input.n > 9 }}", ""),
        ("{# a note #}{% raw %}{{ not.this }}{% endraw %}", "{{ not.this }}"),
        ("{{ input.gone | default('-') }}{{ input.gone.more | d('+') }}{{ input.none | default('x', true) }}", "-+x"),
        ("{{ input.gone is defined }} {{ input.n is defined }} {{ input.gone is undefined }}", "false true true"),
        ("{{ input.tags | join(', ') }} {{ input.tags | unique | sort | join }} {{ input.tags | length }}", "b, a, b ab 3"),
        ("{{ input.users | map(attribute='name') | join('+') }} {{ input.users | sum('age') }}", "Ann+bob 38"),
        ("{{ input.users | selectattr('age', 'gt', 10) | map(attribute='name') | first }}", "Ann"),
        ("{{ input.users | rejectattr('nick') | length }} {{ [1, 0, 2] | select }} {{ [1, 2] | reject('odd') }}", "2 [1,2] [2]"),
        ("{{ input.users | sort(attribute='age') | map(attribute='name') | join(' ') }}", "bob Ann"),
        ("{{ ['b', 'A'] | sort }} {{ ['b', 'A'] | sort(reverse=true) }} {{ ['b', 'A', 'a'] | sort(case_sensitive=true) }}",
         '["A","b"] ["b","A"] ["A","a","b"]'),
        ("{{ [3, 1] | max }} {{ [3, 1] | min }} {{ input.tags | first }} {{ input.tags | last }}", "3 1 b b"),
        ("{{ [1, 2] | reverse }} {{ 'ab' | reverse }} {{ [1, -2] | map('abs') | list if 0 }}", "[2,1] ba "),
        ("{{ 'a-b c' | title }} {{ 'aB' | upper }} {{ 'aB' | lower }}", "A-B C AB ab"),
        ("{{ 'aB' | capitalize }} {{ ' a ' | trim }} {{ ['a', 'b'] | map('upper') | join }}", "Ab a AB"),
        ("{{ 'aaa' | replace('a', 'b', 2) }} {{ 'one two three' | truncate(7) }}", "bba one..."),
        ("{{ 'one two three' | truncate(9) }} {{ 'abcdefgh' | truncate(5, true, '..', 0) }}", "one two three abc.."),
        ("{{ '12' | int + 1 }} {{ 'x' | int(5) }} {{ '1.5' | float }} {{ 'nan' | float }}", "13 5 1.5 0.0"),
        ("{{ 2.567 | round(1) }} {{ 2.1 | round(0, 'ceil') }} {{ (-3) | abs }}", "2.6 3.0 3"),
        ("{{ input.deep | tojson }} {{ {'a': [1]} | tojson(indent=1) }}", '{"a":[{"b":"c"}]} {\n "a": [\n  1\n ]\n}'),
        ("{{ 'a b/ü' | urlencode }} {{ {'k': 1} | items | first | join('=') }}", "a%20b/%C3%BC k=1"),
        ("{{ input.title[:3] }}{{ input.tags[1:] }}", 'Fix["a","b"]'),
        ("a {{- ' b ' -}} c", "a b c"),
    ],
)  # fmt: skip
def test_a_template_comes_to(text: str, comes_to: str) -> None:
    templates.check(text, {"input", "steps", "item"}, "prompt")
    assert templates.render(text, VALUES) == comes_to


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ input.title", "line 1"),
        ("\n{{ input. }}", "line 2"),
        ("{% for x in input.tags %}x{% endfor %}", "a loop"),
        ("{% macro m() %}{% endmacro %}", "a macro"),
        ("{% include 'x' %}", "an `include`"),
        ("{% import 'x' as y %}", "an `import`"),
        ("{% from 'x' import y %}", "an `import`"),
        ("{% set x = 1 %}", "a `set`"),
        ("{% set x %}1{% endset %}", "a `set`"),
        ("{% block x %}{% endblock %}", "a `block`"),
        ("{% extends 'x' %}", "`extends`"),
        ("{% filter upper %}x{% endfilter %}", "a `filter` block"),
        ("{% with %}{% endwith %}", "a `with` block"),
        ("{% call input.x() %}{% endcall %}", "a `call` block"),
        ("{% autoescape true %}{% endautoescape %}", "an `autoescape`"),
        ("{% if input %}{% for x in input.tags %}{% endfor %}{% endif %}", "a loop"),
        ("{{ range(10) }}", "nothing can be called, not `range`"),
        ("{{ input.title.upper() }}", "not `upper`"),
        ("{{ input.__class__ }}", "`__class__`"),
        ("{{ input['_x'] }}", "`_x`"),
        ("{{ _x }}", "`_x`"),
        ("{{ 2 ** 9 }}", "a power"),
        ("{{ 99999999999999999999 }}", "64 bits"),
        ("{{ 1e999 }}", "64 bits"),
        ("{{ 'a\\0' }}", "cannot be kept"),
        ("{{ '\\ud800' }}", "cannot be kept"),
        ("{{ " + "9" * 5000 + " }}", "out of range"),
        ("{{ input.title | uper }}", "did you mean `upper`"),
        ("{{ input.title | attr('x') }}", "filter `attr`"),
        ("{{ input.title | format }}", "filter `format`"),
        ("{{ input is callable }}", "test `callable`"),
        ("{{ input.tags | join(*input.tags) }}", "`*`"),
        ("{{ inptu.title }}", "did you mean `input`"),
        ("{{ gone.title }}", "there is `input`, `item`"),
        ("{{ steps.biuld.result }}", "did you mean `steps.build`"),
        ("{{ steps['other'] }}", "there is `steps.build`, `steps.test`"),
        ("{{ steps }}", "uses `steps`"),
        ("{{ secrets.X | upper }}", "stands alone"),
        ("{% if secrets.X %}{% endif %}", "stands alone"),
        ("{{ secrets['X'] }}", "stands alone"),
        ("{{ input.l | map(attribute='a.__class__') | list }}", "underscore"),
        ("{{ input.l | selectattr('__class__') | list }}", "underscore"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested"),
        ("{{ 1" + " | string" * 200 + " }}", "nested"),
        ("{% if 1 %}" * 200 + "{% endif %}" * 200, "nested"),
        ("{{ 1 }}" * 5000, "words and signs"),
        ("{{ 'x' ~ " + "1, " * 9000 + " }}", "words and signs"),
    ],
)
def test_what_is_no_template_is_refused_when_it_is_saved(text: str, says: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        templates.check(text, NAMES, "steps[1].task.prompt")
    assert raised.value.message.startswith("`steps[1].task.prompt` ")
    assert says in raised.value.message
    assert raised.value.details["field"] == "steps[1].task.prompt"
    assert len(raised.value.message) < 1200


def test_a_check_tells_what_is_used() -> None:
    text = "{{ input.x }} {{ steps.build.result.a }} {{ steps['test'].status | default(item) }} {{ secrets.TOKEN }}"
    assert templates.check(text, NAMES, "p") == {"input", "steps.build", "steps.test", "item"}
    assert templates.check("{{ steps.any.result }}", {"steps"}, "p") == {"steps"}
    assert templates.check("text", NAMES, "p") == frozenset()
    assert templates.check("steps.build.result.ok and input.n > 2", NAMES, "when", expression=True) == {"steps.build", "input"}
    body = {"prompt": "{{ input.a }}", "spec": {"{{ no.template }}": ["{{ item }}"]}, "priority": "high"}
    assert templates.check_body(body, NAMES, "task") == {"input", "item"}
    assert "`task.spec.x[1]`" in refused(templates.check_body, {"spec": {"x": ["", "{{ y }}"]}}, NAMES, "task")


@pytest.mark.parametrize(
    "text", ["input.n == 3", "{{ input.n == 3 }}", " {{ input.tags }} ", "{'a': {'b': 1}}", "input.gone is undefined"]
)
def test_a_condition_has_braces_or_none(text: str) -> None:
    assert templates.condition(text, VALUES) is True
    assert templates.condition(f"not ({text.strip().strip('{}') if 'a' not in text[:3] else '1'})", VALUES) is False


@pytest.mark.parametrize(
    "text", ["", "a b", "{{ a }} and {{ b }}", "1 }}{{ 2", "{% if 1 %}{% endif %}", "1 }}x{{ 2", "secrets.X", "{{ secrets.X }}"]
)
def test_what_is_not_one_expression_is_refused(text: str) -> None:
    assert "`when`" in refused(templates.check, text, {"a", "b", "secrets"}, "when", expression=True)
    assert "`when`" in refused(templates.condition, text, VALUES, "when")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ gone }}", "there is `input`, `item`, `steps`"),
        ("{{ input.gone }}", "uses 'gone' of `input`, an object without it; it has `deep`, `empty`"),
        ("{{ input.title.gone }}", "uses 'gone' of `input.title`, a text"),
        ("{{ input.tags[9] }}", "uses 9 of `input.tags`"),
        ("{{ input.empty | first }}", "something empty"),
        ("{{ input.empty | max }}", "something empty"),
        ("{{ 1 / 0 }}", "divides by zero"),
        ("{{ 'a' * 3 }}", "a text"),
        ("{{ '%s' % 'x' }}", "a text"),
        ("{{ 'a' + 1 }}", "joined with `~`"),
        ("{{ [1] * 9 }}", "a list"),
        ("{{ 9223372036854775807 + 1 }}", "64 bits"),
        ("{{ [9223372036854775807, 1] | sum }}", "64 bits"),
        ("{{ 1e300 * 1e300 }}", "64 bits"),
        ("{{ 'a' < 1 }}", "compares a text with a number"),
        ("{{ [] < [] }}", "no order"),
        ("{{ [1, 'a'] | sort }}", "filter `sort`"),
        ("{{ [[2], [1]] | sort }}", "compares a list"),
        ("{{ input.users | map(attribute='nick') | list }}", "'nick'"),
        ("{{ input.users | map('unknown') }}", "maps with"),
        ("{{ [1] | select('callable') }}", "test `callable`"),
        ("{{ 3 | join }}", "needs a list"),
        ("{{ 3 | length }}", "a number"),
        ("{{ 'a' | replace('a') }}", "filter `replace`"),
        ("{{ 'a' | default(1, 2, 3) }}", "filter `default`"),
        ("{{ 'abc' | truncate(1) }}", "truncates"),
        ("{{ 1 | round(99) }}", "rounds"),
        ("{{ 1 | tojson(indent=99) }}", "indent"),
        ("{{ 1 is divisibleby(0) }}", "test `divisibleby`"),
        ("{{ 'abc'['a':] }}", "a part that there is not"),
        ("{{ 'abc'[::0] }}", "a part that there is not"),
        ("{{ input[1:] }}", "a part of an object"),
        ("{{ input['_' ~ 'x'] }}", "underscore"),
        ("{{ ['a'] | sum }}", "only numbers"),
    ],
)
def test_what_cannot_be_used_with_these_values_says_why(text: str, says: str) -> None:
    message = refused(templates.render, text, VALUES, "task.prompt")
    assert message.startswith("`task.prompt` ")
    assert says in message


def test_a_single_expression_gives_its_value() -> None:
    assert templates.value("{{ input.n }}", VALUES) == 3
    assert templates.value("{{ input.tags }}", VALUES) == ["b", "a", "b"]
    assert templates.value(" {{ input.n }}", VALUES) == " 3"
    assert templates.value("{{ secrets.X }}", VALUES) == "{{ secrets.X }}"
    assert templates.evaluate("input.users", VALUES) == VALUES["input"]["users"]  # type: ignore[index]


def test_a_body_has_texts_where_only_texts_can_stand() -> None:
    body = {
        "prompt": "{{ input.n }}",
        "work_directory": "/repo/{{ item }}",
        "timeout_seconds": "{{ input.n }}",
        "tags": ["{{ input.n }}", "a"],
        "environment": {"{{ item }}": "{{ input.n }}"},
        "spec": {"body": "{{ input.deep }}", "args": ["{{ input.n }}", "-{{ input.n }}"]},
        "metadata": {"prompt": "{{ input.n }}"},
        "arguments": "{{ input.users[0] }}",
        "max_attempts": 2,
        "run_at": None,
    }
    assert templates.render_body(body, VALUES) == {
        "prompt": "3",
        "work_directory": "/repo/x",
        "timeout_seconds": 3,
        "tags": ["3", "a"],
        "environment": {"{{ item }}": "3"},
        "spec": {"body": {"a": [{"b": "c"}]}, "args": [3, "-3"]},
        "metadata": {"prompt": 3},
        "arguments": {"name": "Ann", "age": 31},
        "max_attempts": 2,
        "run_at": None,
    }
    assert templates.render_body({"tags": "{{ input.tags }}"}, VALUES) == {"tags": ["b", "a", "b"]}
    assert "`tasks[0].spec.a.b[0]`" in refused(templates.render_body, {"spec": {"a": {"b": ["{{ x }}"]}}}, VALUES, "tasks[0]")
