"""Functions that only say something: Dayin, Test, Hello, Time, Echo."""

from datetime import datetime

from worker_client.runners.base import RunContext
from worker_client.runners.functions.go_time import formatted


def dayin(*args: object, context: RunContext) -> dict[str, object]:
    """Prints the task, and its arguments."""
    context.log(f"task {context.task.id} {context.task.title or ''}: {', '.join(map(str, args))}")
    return {"task_id": context.task.id, "title": context.task.title, "attempt": context.task.attempt, "args": list(args)}


def test(*args: object) -> dict[str, object]:
    """Says what it was given."""
    return {"ok": True, "args": list(args)}


def hello(name: object = "World") -> str:
    """Greets somebody."""
    return f"Hello, {name}!"


def time(layout: str = "2006-01-02 15:04:05") -> str:
    """The time of this machine, in a layout of Go."""
    return formatted(datetime.now().astimezone(), str(layout))


def echo(*texts: object, context: RunContext) -> str:
    """Prints a text, and returns it."""
    said = " ".join(map(str, texts))
    context.log(said)
    return said
