"""Definitions of workflows: what is wrong with one is said when it is saved, as far as it can be told without values."""

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain import secrets as asking
from orchestrator.domain import templates
from orchestrator.domain.commands import NAME
from orchestrator.domain.drafting import as_json, new_task
from orchestrator.domain.explain import invalid, not_a_field
from orchestrator.domain.graph import Graph
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Defaults
from orchestrator.domain.task import Inputs
from worker_client.contract.fields import JsonObject, Text, TimeoutSeconds
from worker_client.contract.specs import DIRECTORYLESS, SPECS
from worker_client.contract.tasks import CreateTask
from worker_client.contract.workflows import Step
from worker_client.errors import Forbidden, ValidationFailed

_NOT_IN_A_STEP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "key": "the run gives each of its tasks a key: leave it out",
        "depends_on": "it holds ids of tasks: name steps in the `depends_on` of the step",
    }
)
ITEM_NAMES: Final = frozenset({"item", "index"})
_RUN_NAMES: Final = frozenset({"input", "trigger", "run"})
_ANYWHERE: Final = "/anywhere"
_SOME_KIND: Final = "some-kind"
_SOME_TEXT: Final = "some text"
"""They stand for what only the values will tell."""


class Definition(Struct, frozen=True, omit_defaults=True):
    """What a version of a workflow keeps, as JSON."""

    steps: list[Step]
    triggers: list[JsonObject] = []
    input: JsonObject = {}
    description: Text | None = None
    timeout_seconds: TimeoutSeconds | None = None


class Plan(Struct, frozen=True):
    """A definition that was saved, with its steps as a graph."""

    definition: Definition
    graph: Graph

    def step(self, step_id: str) -> Step:
        """A step by its id."""
        return self.definition.steps[self.graph.places[step_id]]


@lru_cache(4)
def plan_of(text: str) -> Plan:
    """A definition as it is stored: the steps of a run ask for it one after the other."""
    definition = msgspec.json.decode(text, type=Definition)
    return Plan(definition, Graph(definition.steps))


def check(definition: Definition, by: Principal, defaults: Defaults) -> str:
    """Refuse what can't work, or what its creator may not do; the names of the secrets that it asks for, with spaces between.

    Raises ValidationFailed, Forbidden.
    """
    graph = Graph(definition.steps)
    before = graph.before()
    secrets: set[str] = set()
    for place, step in enumerate(definition.steps):
        used(step, {*_RUN_NAMES, *_named(before[step.id], definition.steps)}, f"steps[{place}]")
        secrets.update(_asked(step, f"steps[{place}].task", by, defaults))
    return " ".join(sorted(secrets))


def _named(bits: int, steps: list[Step]) -> Iterator[str]:
    """The steps of a set of bits, as templates name them."""
    while bits:
        lowest = bits & -bits
        yield f"steps.{steps[lowest.bit_length() - 1].id}"
        bits ^= lowest


def used(step: Step, names: Collection[str], at: str) -> set[str]:
    """The names that a step's templates use. Raises ValidationFailed."""
    found: set[str] = set()
    if step.when is not None:
        found |= templates.check(step.when, names, f"{at}.when", expression=True)
    if isinstance(step.for_each, str):
        if not templates.is_template(step.for_each):
            raise ValidationFailed(
                f"`{at}.for_each` is a text: send a list, or a template of one such as {{{{ input.files }}}}",
                field=f"{at}.for_each",
            )
        found |= templates.check(step.for_each, names, f"{at}.for_each")
    elif step.for_each is not None:
        found |= templates.check_body({"for_each": step.for_each}, names, at)
    here = names if step.for_each is None else {*names, *ITEM_NAMES}
    return found | templates.check_body(step.task, here, f"{at}.task")


def _asked(step: Step, at: str, by: Principal, defaults: Defaults) -> list[str]:
    """The secrets that a step's task asks for; its body is checked with stand-ins for what only the values will tell."""
    sent = step.task
    for name, told in _NOT_IN_A_STEP.items():
        if name in sent:
            raise ValidationFailed(f"`{at}.{name}` can't be set: {told}", field=f"{at}.{name}")
    body = _with_stand_ins(sent, at)
    try:
        task = msgspec.convert(body, CreateTask)
    except msgspec.ValidationError as error:
        raise invalid(error, CreateTask, body, within=at) from None
    if sent.get("command") is not None:
        _check_command(task, at)
        task = replace(task, command=None, arguments=None, prompt=_SOME_TEXT)
    new = new_task(task, defaults, f"{at}.")
    if "work_directory" in sent and not _made(sent["work_directory"]) and not by.paths.covers(new.path):
        raise Forbidden(f"this key may not create tasks in {new.path}", field=f"{at}.work_directory")
    prompt, spec, environment = (as_json(sent.get(name), f"{at}.{name}") for name in ("prompt", "spec", "environment"))
    return asking.asked(Inputs(prompt=prompt, spec=spec, environment=environment), f"{at}.").split()


def _check_command(task: CreateTask, at: str) -> None:
    """Refuse what no command can be; which there are is known when the step begins."""
    if task.command is None:
        return
    if task.prompt is not None:
        raise ValidationFailed(f"send `{at}.prompt` or `{at}.command`, not both", field=f"{at}.command")
    if not NAME.fullmatch(task.command):
        raise ValidationFailed(
            f"`{at}.command` is {task.command[:100]!r}: expected the name of a command, lower-case letters, digits and `-`, with "
            "`/` for folders",
            field=f"{at}.command",
        )


def _with_stand_ins(sent: JsonObject, at: str) -> JsonObject:
    """A body without what templates make; what is needed all the same has something in its place."""
    body = {name: value for name, value in sent.items() if not _made(value)}
    made = sent.keys() - body.keys()
    kind = sent.get("kind", "agent")
    if "kind" in made:
        body["kind"] = _SOME_KIND
        body.setdefault("work_directory", _ANYWHERE)
    elif "spec" in made and kind in SPECS and kind != "agent":
        _check_names(sent["spec"], SPECS[kind], f"{at}.spec")
        body["kind"] = _SOME_KIND
        if kind in DIRECTORYLESS:
            body.setdefault("work_directory", _ANYWHERE)
    if "work_directory" in made:
        body["work_directory"] = _ANYWHERE
    if "prompt" in made or "command" in made:
        body.setdefault("prompt", _SOME_TEXT)
    return body


def _check_names(spec: Any, expected: type[Struct], at: str) -> None:
    known = expected.__struct_fields__
    for name in spec if isinstance(spec, dict) else ():
        if name not in known:
            raise not_a_field(f"{at}.{name}", name, known)


def _made(value: Any) -> bool:
    """Whether a template makes a value, or some part of it."""
    if isinstance(value, str):
        return templates.is_template(value)
    if isinstance(value, dict):
        return any(map(_made, value.values()))
    return isinstance(value, list) and any(map(_made, value))
