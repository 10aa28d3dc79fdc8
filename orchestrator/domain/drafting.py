"""What is sent to create or change a task as the domain has it: defaults filled in, paths canonical, times in ms."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from orchestrator.domain import budgets
from orchestrator.domain import operations as ops
from orchestrator.domain.commands import prompt
from orchestrator.domain.explain import invalid
from orchestrator.domain.moments import instant
from orchestrator.domain.paths import PathError, canonical
from orchestrator.domain.rules import Defaults
from orchestrator.domain.secrets import ASKING, asked
from orchestrator.domain.task import Inputs, Millis, NewTask, TaskView
from worker_client.contract.enums import Priority
from worker_client.contract.specs import DIRECTORYLESS, SPECS
from worker_client.contract.tasks import Backoff, CreateTask, UpdateTask
from worker_client.errors import PayloadTooLarge, ValidationFailed

_NUMBERS: Final = {priority: number for number, priority in enumerate(Priority)}
_canonical = lru_cache(8192)(canonical)
_encoder = msgspec.json.Encoder()
_deterministic = msgspec.json.Encoder(order="deterministic")
V = TypeVar("V")
_MOST_TOGETHER: Final = 32_000_000


def new_task(body: CreateTask, defaults: Defaults, at: str = "") -> NewTask:
    """A validated task; `at` is what stands before the names of fields in messages."""
    kind = body.kind
    if body.work_directory is not None:
        path = work_path(body.work_directory, f"{at}work_directory")
    elif kind in DIRECTORYLESS:
        path = work_path(defaults.work_directory, f"{at}work_directory")
    else:
        raise ValidationFailed(
            f"`{at}work_directory` is missing: send the absolute path of the directory to work in", field=f"{at}work_directory"
        )
    text = _prompt(body, defaults, at)
    if text is not None or kind == "agent":
        _check_prompt(text, defaults, f"{at}prompt")
    if body.run_at is not None and body.delay_seconds is not None:
        raise ValidationFailed(f"send `{at}run_at` or `{at}delay_seconds`, not both", field=f"{at}delay_seconds")
    inputs = Inputs(
        prompt=text,
        description=body.description,
        spec=_spec(kind, body.spec, f"{at}spec"),
        environment=_environment(body.environment, f"{at}environment") if body.environment else "{}",
        resource_limits=as_json(body.resource_limits, f"{at}resource_limits") if body.resource_limits else "{}",
        metadata=as_json(body.metadata, f"{at}metadata") if body.metadata else "{}",
        depends_on=as_json(distinct(body.depends_on), f"{at}depends_on") if body.depends_on else "[]",
        key=body.key,
        requires_approval=body.requires_approval,
    )
    return NewTask(
        path=path,
        host=body.host,
        kind=kind,
        title=body.title,
        priority=_NUMBERS[body.priority],
        tags=distinct(body.tags),
        exclusive=body.exclusive,
        run_at=None if body.run_at is None else instant(body.run_at, f"{at}run_at"),
        delay_ms=None if body.delay_seconds is None else round(body.delay_seconds * 1000),
        max_attempts=defaults.max_attempts if body.max_attempts is None else body.max_attempts,
        timeout_ms=_timeout_ms(
            body.timeout_seconds, None if body.resource_limits is None else body.resource_limits.timeout, defaults
        ),
        backoff=_backoff(body.backoff),
        depends_on=distinct(body.depends_on),
        key=body.key,
        key_hash=None if body.key is None else _digest(body, path),
        requires_approval=body.requires_approval,
        secrets=asked(inputs, at),
        agent=_agent(kind, body.spec),
        budget=budgets.given(_budget(kind, body.spec), None, None),
        inputs=inputs,
    )


def keyed_task(body: CreateTask, defaults: Defaults, at: str = "") -> NewTask:
    """`new_task`, which is the same task when it is sent again with its key, whatever has become of its command by then."""
    try:
        return new_task(body, defaults, at)
    except (ValidationFailed, PayloadTooLarge) as refusal:
        if body.key is None or body.command is None:
            raise
        other = new_task(replace(body, command=None, arguments=None, prompt=body.command), defaults, at)
        return replace(other, key_hash=_digest(body, other.path), unusable=refusal)


class Together:
    """Tasks of one transaction: what is in them has a limit, as commands and templates make much out of little."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._left = _MOST_TOGETHER

    def draft(self, body: CreateTask, at: str = "", drafted: Callable[..., NewTask] = new_task) -> NewTask:
        """One more of them. Raises ValidationFailed, PayloadTooLarge."""
        task = drafted(body, self._defaults, at)
        texts = (task.inputs.prompt, task.inputs.spec, task.inputs.environment, task.inputs.metadata, task.inputs.description)
        self._left -= sum(len(text) for text in texts if text is not None)
        if self._left < 0:
            raise PayloadTooLarge(
                f"the tasks have more than the {_MOST_TOGETHER:,} characters that are allowed at once: create fewer of them",
                field=at.rstrip("."),
                limit=_MOST_TOGETHER,
            )
        return task


def _digest(body: CreateTask, path: str) -> str:
    """Equal for bodies that ask for the same task; two spellings of one directory are the same."""
    return sha256(_deterministic.encode(replace(body, work_directory=path))).hexdigest()


def change(view: TaskView, body: UpdateTask, defaults: Defaults) -> ops.Update:
    """What a PUT asks for of a task; its kind tells what prompt and spec may be."""
    inputs: dict[str, str | None] = {}
    if body.prompt is not UNSET:
        _check_prompt(body.prompt, defaults, "prompt")
        inputs["prompt"] = body.prompt
    if body.description is not UNSET:
        inputs["description"] = body.description
    if body.spec is not UNSET:
        inputs["spec"] = _spec(view.head.kind, body.spec, "spec")
    if body.environment is not UNSET:
        inputs["environment"] = _environment(body.environment, "environment")
    for name in ("metadata", "resource_limits"):
        if (value := getattr(body, name)) is not UNSET:
            inputs[name] = as_json(value, name)
    return ops.Update(
        task_id=view.head.id,
        version=body.version,
        path=UNSET if body.work_directory is UNSET else work_path(body.work_directory, "work_directory"),
        host=body.host,
        title=body.title,
        priority=UNSET if body.priority is UNSET else _NUMBERS[body.priority],
        tags=UNSET if body.tags is UNSET else distinct(body.tags),
        exclusive=body.exclusive,
        run_at=_run_at(body.run_at),
        max_attempts=body.max_attempts,
        timeout_ms=_changed_timeout_ms(view, body, defaults),
        backoff=UNSET if body.backoff is UNSET else _backoff(body.backoff),
        # Whoever changes one of them has the others' secrets work for what it says now.
        budget=UNSET if body.spec is UNSET else _budget(view.head.kind, body.spec),
        agent=UNSET if body.spec is UNSET else _agent(view.head.kind, body.spec) or _resuming(view),
        secrets=asked(replace(view.inputs, **inputs)) if not inputs.keys().isdisjoint(ASKING) else UNSET,
        inputs=inputs,
    )


def _timeout_ms(seconds: float | None, limit: float | None, defaults: Defaults) -> Millis:
    """The smaller one of what was asked for, the default when nothing was."""
    asked = [timeout for timeout in (seconds, limit) if timeout is not None]
    return round(min(asked, default=defaults.timeout_seconds) * 1000)


def _changed_timeout_ms(view: TaskView, body: UpdateTask, defaults: Defaults) -> Millis | UnsetType:
    if body.timeout_seconds is UNSET and body.resource_limits is UNSET:
        return UNSET
    seconds = view.head.timeout_ms / 1000 if body.timeout_seconds is UNSET else body.timeout_seconds
    limits = msgspec.json.decode(view.inputs.resource_limits) if body.resource_limits is UNSET else {}
    limit = limits.get("timeout") if body.resource_limits is UNSET else body.resource_limits.timeout
    return _timeout_ms(seconds, limit, defaults)


def work_path(path: str, field: str) -> str:
    """A canonical work path. Raises ValidationFailed."""
    try:
        return _canonical(path)
    except PathError as error:
        raise ValidationFailed(str(error), field=field) from None


def _prompt(body: CreateTask, defaults: Defaults, at: str) -> str | None:
    """The prompt as it was sent, or what a command comes to: the digest is of what was sent, whatever becomes of the command."""
    if body.command is not None:
        if body.prompt is not None:
            raise ValidationFailed(f"send `{at}prompt` or `{at}command`, not both", field=f"{at}command")
        return prompt(body.command, body.arguments, defaults.commands, defaults.max_prompt_bytes, at)
    if body.arguments is not None:
        raise ValidationFailed(f"`{at}arguments` are those of a command: send `{at}command`, too", field=f"{at}arguments")
    return body.prompt


def _check_prompt(prompt: str | None, defaults: Defaults, field: str) -> None:
    if prompt is None:
        raise ValidationFailed(f"`{field}` is missing: say what is to be done", field=field)
    if not prompt or prompt.isspace():
        raise ValidationFailed(f"`{field}` is empty: say what is to be done", field=field)
    most = defaults.max_prompt_bytes
    if len(prompt) * 4 > most and len(prompt.encode()) > most:
        size = len(prompt.encode())
        raise PayloadTooLarge(
            f"`{field}` has {size} bytes, more than the {most} that are allowed: put it into a file of the directory",
            field=field,
            limit=most,
        )


def _spec(kind: str, spec: dict[str, Any] | None, field: str) -> str | None:
    expected = SPECS.get(kind)
    if expected is not None and (spec is not None or kind != "agent"):
        try:
            msgspec.convert(spec or {}, expected)
        except msgspec.ValidationError as error:
            raise invalid(error, expected, spec or {}, within=field) from None
    return None if spec is None else as_json(spec, field)


def _agent(kind: str, spec: dict[str, Any] | None) -> str:
    """The agent that a task names, empty for any."""
    return (spec or {}).get("agent") or "" if kind == "agent" else ""


def _budget(kind: str, spec: dict[str, Any] | None) -> tuple[int | None, int | None] | None:
    """The tokens and millionths of a dollar that a task may use; None: any."""
    budget = (spec or {}).get("budget") if kind == "agent" else None
    if budget is None:
        return None
    cost = budget.get("cost_usd")
    return budget.get("tokens"), None if cost is None else budgets.micros(cost)


def _resuming(view: TaskView) -> str:
    """The agent that a task stays with, as it has a session with it; empty for any."""
    return view.head.agent if view.outputs.session_id else ""


def _environment(environment: dict[str, str], field: str) -> str:
    for name in environment:
        if not name or "=" in name:
            raise ValidationFailed(f"{name!r} in `{field}` cannot be the name of a variable: leave out the =", field=field)
    return as_json(environment, field)


def _backoff(backoff: Backoff | None) -> str | None:
    return None if backoff is None else backoff_text(backoff)


def _run_at(at: datetime | UnsetType | None) -> Millis | UnsetType | None:
    return at if at is None or at is UNSET else instant(at, "run_at")


def backoff_text(backoff: Backoff) -> str:
    """A Backoff with all its fields, also those that are as by default."""
    return _encoder.encode({name: getattr(backoff, name) for name in Backoff.__struct_fields__}).decode()


def as_json(value: Any, field: str) -> str:
    """JSON text of something that was sent. Raises ValidationFailed."""
    try:
        return _encoder.encode(value).decode()
    except RecursionError:
        raise ValidationFailed(f"`{field}` is nested too deeply: send it flatter", field=field) from None


def distinct(values: Iterable[V]) -> tuple[V, ...]:
    """Each value once, in the order of their first places."""
    return tuple(dict.fromkeys(values))
