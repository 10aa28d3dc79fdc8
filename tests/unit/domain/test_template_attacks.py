"""Templates under attack: values that want to be references to secrets, and templates that want not to end."""

import json
import subprocess
import sys
from typing import Any

import jinja2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import templates
from orchestrator.domain.defusing import Pieces, defused
from orchestrator.domain.drafting import new_task
from orchestrator.domain.rules import Defaults
from orchestrator.domain.secrets import REFERENCE
from worker_client.contract.tasks import CreateTask
from worker_client.errors import ValidationFailed

OWN = "{{ secrets.OWN }}"
EVIL = "{{ secrets.EVIL }}"


def found(text: str) -> list[str]:
    return [match[0] for match in REFERENCE.finditer(text)]


@pytest.mark.parametrize(
    "text",
    [
        "{{ input.a }}{{ input.b }}",
        "{{ input.a ~ input.b }}",
        "{{ input.a + input.b }}",
        "{{ [input.a, input.b] | join }}",
        "{{ [input.a, input.b] | join('') | trim }}",
        "{{ (input.b | reverse ~ input.a | reverse) | reverse }}",
        "{% if input.a %}{{ input.a }}{% endif %}{{ input.b }}",
        "{{ input.a }}{# #}{{ input.b }}",
        "{{ {input.a ~ input.b: 1} | tojson }}",
        "{{ {'x': {'y': [input.a ~ input.b]}} }}",
        "{{ (input.a ~ '@' ~ input.b) | replace('@', '') }}",
        "{{ (input.a ~ input.b ~ 'x')[:-1] }}",
    ],
)  # fmt: skip
def test_values_make_no_reference_however_they_are_joined(text: str) -> None:
    for at in range(len(EVIL) + 1):
        values = {"input": {"a": EVIL[:at], "b": EVIL[at:]}}
        made = templates.render(f"{OWN} {text} {OWN}", values)
        assert found(made) == [OWN, OWN], made
        assert "EVIL" in made
        body = templates.render_body({"prompt": text, "spec": {"a": text, "b": [text]}, "environment": {"A": text}}, values)
        assert found(body["prompt"]) == []
        assert found(msgspec.json.encode(body).decode()) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{% raw %}{{% endraw %}{{ x }}", "{ secrets.EVIL }}"),
        ("{% raw %}{{{% endraw %}{{ x }}", " secrets.EVIL }}"),
        ("{% raw %}{{ secrets.{% endraw %}{{ x }}", "EVIL }}"),
        ("{% raw %}{{ secrets.{% endraw %}{{ x }} }}", "EVIL"),
        ("{% raw %}{{ secrets.EV{% endraw %}{{ x }}", "IL }}"),
        ("{{ x }} secrets.EVIL }}", "{{"),
        ("{{ x }}{% raw %} secrets.EVIL }}{% endraw %}", "{{"),
        ("{{ x }}", "{{{ secrets.EVIL }}}"),
        ("{{ x }}", "{{ {{ secrets.EVIL }}"),
        ("{{ x }}", "\u007b\u007b secrets.EVIL }}"),
        ("{{ x }}", "{{ secrets. }}"),
        ("{{ '{{ secrets.EVIL }}' }}", ""),
        ("{{ '{{ secrets.' ~ x }}", "EVIL }}"),
    ],
)
def test_a_value_completes_no_reference_that_its_surroundings_begin(text: str, value: str) -> None:
    assert found(templates.render(text, {"x": value})) == []


@given(
    st.lists(
        st.tuples(
            st.booleans(), st.sampled_from(["{", "{{", " ", "$", "secrets.", "secrets", ".", "A", " }}", "}}", EVIL, "x", ""])
        ),
        max_size=12,
    )
)
def test_a_reference_is_an_authors_own_whole(parts: list[tuple[bool, str]]) -> None:
    pieces, whose = Pieces(), ""
    for written, part in parts:
        (pieces.written if written else pieces.given)(part)
        whose += ("w" if written else "g") * len(part)
    whole = "".join(part for _, part in parts)
    own = [match for match in REFERENCE.finditer(whole) if "g" not in whose[match.start() : match.end()]]
    made = pieces.text()
    assert found(made) == [match[0] for match in own]
    assert made.replace(" ", "") == whole.replace(" ", "")


@given(
    st.recursive(
        st.sampled_from(["{{ secrets.A }}", "{{secrets.", "${{ secrets.A }}", "a"]) | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([EVIL, "a", "{{ secrets."]), inner),
    )
)
def test_no_reference_is_left_in_a_value(value: Any) -> None:
    assert found(json.dumps(defused(value))) == []
    assert found(msgspec.json.encode(templates.value("{{ x }}", {"x": value})).decode()) == []


@pytest.mark.parametrize(
    "text", ["${{ secrets.X }}", "run: ${{secrets.X}} and {{ input.a }}", "{% raw %}${{ github.ref }}{% endraw %}"]
)
def test_what_is_of_other_programs_stays(text: str) -> None:
    templates.check(text, {"input"}, "prompt")
    made = templates.render(text, {"input": {"a": "echo ${{ secrets.GITHUB_TOKEN }}"}})
    assert found(made) == []
    assert "${{ " in made
    assert "input" not in made


@pytest.mark.parametrize(
    ("sign", "kept"), [("\0", "\ufffd"), ("\ud800", "\ufffd"), ("\udc00x", "\ufffdx"), ("\U0001f680", "\U0001f680")]
)
def test_what_cannot_be_kept_is_replaced(sign: str, kept: str) -> None:
    assert templates.render("a{{ x }}b", {"x": sign}) == f"a{kept}b"
    assert templates.value("{{ x }}", {"x": {sign: [sign]}}) == {kept: [kept]}
    assert templates.render("{{ x ~ y }}", {"x": sign[:1], "y": sign[1:]}) == kept


def test_a_defused_text_is_accepted_as_a_task() -> None:
    made = templates.render_body({"prompt": "{{ x }}", "spec": {"command": "{{ x }}"}}, {"x": "{{ secrets. }} {{ secrets.A"})
    task = new_task(CreateTask(work_directory="/a", kind="script", **made), Defaults())
    assert task.secrets == ""


THEIRS = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)  # noqa: S701 - as ours


def joined(*parts: Any) -> st.SearchStrategy[str]:
    return st.tuples(*(part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts)).map("".join)


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


TEXT: st.SearchStrategy[str] = st.deferred(
    lambda: (
        one_of("input.s", "'a b'", "'{'", "input.m.k", "''", "('a' 'b')")
        | joined("(", TEXT, " | ", one_of(
            "upper", "lower", "title", "trim", "capitalize", "string", "reverse", "replace('a', 'bc')",
            "replace('', 'x', 2)", "truncate(4, true)", "truncate(5)", "urlencode", "join", "join('-')",
        ), ")")
        | joined("(", TEXT, one_of(" ~ ", " + ", " and ", " or "), TEXT, ")")
        | joined("((", NUMBER, " | int) | string)")
        | joined("(", LIST, " | ", one_of("join", "join('-')", "map('string') | join(d='+')"), ")")
        | joined("(", TEXT, " if ", CONDITION, " else ", TEXT, ")")
        | joined("(", TEXT, one_of(")[1:]", ")[:2]", ")[::-1]", ")[-3:-1]"))
    )
)  # fmt: skip
NUMBER: st.SearchStrategy[str] = st.deferred(
    lambda: (
        one_of("input.n", "input.f", "1", "2.5", "-3")
        | joined("(", NUMBER, one_of(" + ", " - ", " * ", " / ", " // ", " % "), NUMBER, ")")
        | joined("(", NUMBER, " | ", one_of("abs", "int", "float", "round", "round(1, 'ceil')", "round(1, 'floor')"), ")")
        | joined("(", LIST, " | ", one_of("length", "sum", "first", "last", "min", "max"), ")")
        | joined("(", TEXT, " | ", one_of("length", "int", "int(5)", "float"), ")")
        | joined("(-", NUMBER, ")")
    )
)
CHOSEN = one_of("sort", "sort(reverse=true)", "unique", "reverse", "select('odd')", "reject('gt', 2)")
LIST: st.SearchStrategy[str] = st.deferred(
    lambda: (
        one_of("input.l", "[1, 3, 2]", "[2.5, 2]")
        | joined("(", LIST, " | ", CHOSEN, " | list)")
        | joined("(", LIST, " + ", LIST, ")")
        | joined("(", LIST, one_of(")[1:]", ")[:2]"))
    )
)
CONDITION: st.SearchStrategy[str] = st.deferred(
    lambda: (
        joined(NUMBER, one_of(" < ", " <= ", " == ", " != ", " > ", " >= "), NUMBER)
        | joined(TEXT, one_of(" < ", " == ", " in ", " not in "), TEXT)
        | joined(NUMBER, one_of(" in ", " not in "), LIST)
        | joined(NUMBER, " is ", one_of("odd", "even", "number", "string", "none", "divisibleby(3)", "not float"))
        | joined("not (", CONDITION, ")")
        | joined("(", CONDITION, one_of(" and ", " or "), CONDITION, ")")
        | joined("1 ", one_of("<", ">"), " ", NUMBER, " < 5")
    )
)
VALUES = {"input": {"n": 7, "s": "Some text a", "l": [3, 1, 2], "f": 0.5, "m": {"k": "v"}}}


@given(st.one_of(TEXT, NUMBER, LIST, CONDITION))
def test_it_comes_to_what_jinja2_says(expression: str) -> None:
    try:
        made = templates.evaluate(expression, VALUES)
    except ValidationFailed:
        return  # a division by zero, say
    theirs: Any = THEIRS.compile_expression(expression)(**VALUES)
    assert made == (list(theirs) if hasattr(theirs, "__next__") else theirs)


BOMBS = [
    "{{ 'a' * 999999999 }}",
    "{{ x | replace('', x) | replace('', x) }}",
    "{{ x | replace('a', x) }}",
    "{{ x | replace('a', x, -1) }}",
    "{{ l | join(x) }}",
    "{{ [x, x, x, x, x, x, x, x, x, x, x] | tojson }}",
    "{{ [l, l, l, l, l, l, l, l, l, l, l, l, l, l, l, l] | tojson(indent=8) }}",
    "{{ x ~ x ~ x }}" * 400,
    "{{ x }}" * 3000,
    "{% if x == y %}{% endif %}" * 800,
    "{% if 'b' in x %}{% endif %}" * 800,
    "{{ l | sort | unique | reverse | sort | length }}" * 500,
    "{{ l | map('tojson') | join }}" * 100,
    "{{ x | urlencode | urlencode | urlencode }}",
    "{{ " + " ~ ".join(["x"] * 4000) + " }}",
    "{{ x" + " | urlencode" * 90 + " }}",
    "{{ x" + " | title | upper | lower" * 30 + " }}" + "{{ x | title | length }}" * 500,
    "{{ " + "[" * 90 + "x" + "]" * 90 + " }}",
    "{{ " + "9" * 100_000 + " }}",
    "{{ " + "1_" * 100_000 + "1 }}",
    "{{ 0x" + "f" * 100_000 + " }}",
    "{{ '" + "\\" * 200_001,
    "{{ " + "'" * 200_001,
    "{%" * 100_000,
    "{% raw %}" + "{%" * 100_000,
    "{% raw %}{%" + " " * 200_000,
    "{#" * 100_000,
    "{{" * 100_000,
    "{{ x }}" * 100_000,
    "{{ " + "(" * 100_000,
    "{{ " + "not " * 100_000 + "x }}",
    "{{ " + "-" * 100_000 + "1 }}",
    "{{ " + "x." * 100_000 + "x }}",
    "{{ x" + "[0]" * 100_000 + " }}",
    "{{ x" + " | first" * 100_000 + " }}",
    "{% if 1 %}" * 100_000,
    "{% if 1 %}" + "{% elif 1 %}" * 100_000 + "{% endif %}",
    "{{ x is " + "not " * 100_000 + "none }}",
    "{{ 1 if " * 50_000,
    "{{ 7 % 9223372036854775807 * 9223372036854775807 * 9223372036854775807 }}",
]
RUN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from orchestrator.domain import templates
from worker_client.errors import ValidationFailed
templates.render("{{ 1 }}", {})
values = {"x": "a" * 300_000, "y": "a" * 300_000, "l": [str(n) for n in range(20_000)]}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)
outcomes = []
for text in BOMBS:
    for use in (templates.render,) if len(text) > 1_000 else (templates.render, templates.value):
        try:
            made = use(text, values, "prompt")
        except ValidationFailed as refusal:
            outcomes.append("refused")
            assert len(refusal.message) < 1200
        else:
            outcomes.append("made")
            assert not isinstance(made, str) or len(made) <= 1_000_000
body = {"spec": {str(n): "{{ x | length }}" * 300 for n in range(2_000)}}
for use in (lambda: templates.render_body(body, values), lambda: templates.check_body(body, {"x"}, "task")):
    try:
        use()
    except ValidationFailed:
        outcomes.append("refused")
deep = []
for _ in range(100_000):
    deep = [deep]
for text in ("{{ x }}", "a{{ x }}", "{{ x | tojson }}", "{{ x == x }}"):
    try:
        templates.value(text, {"x": deep}, "prompt")
    except ValidationFailed:
        outcomes.append("refused")
for use in (templates.render_body, lambda body, values: templates.check_body(body, values, "task")):
    try:
        use({"spec": deep}, {})
    except ValidationFailed:
        outcomes.append("refused")
print(outcomes.count("refused"), outcomes.count("made"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are Linux's")
def test_whatever_it_says_it_ends_and_stays_small() -> None:
    """Within a minute of processor time for all, and 200 MB beyond what the libraries take; over it the process dies."""
    done = subprocess.run([sys.executable, "-"], input=f"BOMBS = {BOMBS!r}\n{RUN}", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    refused, made = map(int, done.stdout.split())
    assert refused + made > len(BOMBS) + 8
    assert refused > len(BOMBS)


def test_the_parser_is_loaded_when_a_template_comes() -> None:
    code = "import sys; from orchestrator.domain import templates; templates.render('x', {}); print('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
