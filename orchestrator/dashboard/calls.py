"""The call that would create a task like one that there is, for a shell and for Python: to copy, without anything secret."""

import json
import pprint
import shlex
from typing import Any, Final

import msgspec
from msgspec import structs

from worker_client.contract.tasks import CreateTask, Task

_AS_GIVEN: Final = (
    "title", "description", "priority", "tags", "kind", "spec", "host", "max_attempts", "timeout_seconds", "exclusive",
    "requires_approval", "metadata", "environment", "resource_limits",
)  # fmt: skip
MOST: Final = 6000


def body(task: Task) -> dict[str, Any]:
    """What to send: as the task was given, without what is so anyway."""
    usual = msgspec.to_builtins(structs.asdict(CreateTask()))
    given: dict[str, Any] = {"work_directory": task.work_directory, "prompt": task.prompt}
    given |= {name: msgspec.to_builtins(getattr(task, name)) for name in _AS_GIVEN}
    return {name: value for name, value in given.items() if value not in (None, [], {}) and value != usual[name]}


def curl(task: Task, address: str) -> str:
    """For a shell; the key is that of the variable ORCHESTRATOR_API_KEY."""
    sent = json.dumps(body(task), ensure_ascii=False, indent=2)
    lines = [
        f"curl -X POST {shlex.quote(address + '/api/v1/tasks')}",
        '-H "Authorization: Bearer $ORCHESTRATOR_API_KEY"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(_seen(sent))}",
    ]
    return " \\\n  ".join(lines)


def python(task: Task, address: str) -> str:
    """For the SDK, which takes the key from the same variable."""
    arguments = "".join(f"        {name}={_value(value)},\n" for name, value in body(task).items())
    return (
        f"from worker_client import Client\n\nwith Client({address!r}) as client:\n"
        f"    task = client.create(\n{arguments}    )\n    print(task.id)\n"
    )


def _value(value: Any) -> str:
    return pprint.pformat(value, width=100, sort_dicts=False).replace("\n", "\n        ")


def _seen(sent: str) -> str:
    """JSON in which nothing hides: what cannot be seen is written as a number."""
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in sent)
