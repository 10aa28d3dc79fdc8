"""Writes docs/reference/environment.md, the variables that are neither a setting nor an option alone: `python -m docs`."""

from collections.abc import Mapping
from typing import Final

from docs.writing import table
from worker_client.runners.programs import INHERITED

CLIENTS: Final = {
    "ORCHESTRATOR_URL": "the address of the server; by default `http://127.0.0.1:8080`",
    "ORCHESTRATOR_API_KEY": "the key for it",
    "ORCHESTRATOR_JSON": "`1`: `orchestrator` prints JSON, as with `--json`",
    "ORCHESTRATOR_WORK_DIRECTORY": "the work directory of `orchestrator add` where `--dir` is not said",
    "ORCHESTRATOR_STATE_DIR": "where locks, sessions and worktrees of workers are kept; by default `task-orchestrator` in "
    "`$XDG_STATE_HOME`, else in `~/.local/state`",
    "ORCHESTRATOR_TRACING": "`1`: workers and commands send [traces](../tracing.md), where `OTEL_EXPORTER_OTLP_ENDPOINT` says",
    "TRACEPARENT": "the trace (W3C) that what is done belongs to",
}
SERVERS: Final = {
    "APP_ENV": "which `config/<APP_ENV>.toml` is read: `development` unless it says otherwise",
    "APP_CONFIG": "one more file of settings, as `--config`",
    "APP_<SECTION>_<KEY>": "a [setting](settings.md), such as `APP_SERVER_PORT`",
    "APP_SECRET_<NAME>": "a [secret](../secrets.md) that tasks may ask for by its name",
}
TASKS: Final = {
    "ORCHESTRATOR_URL": "the server that the task is from, which `orchestrator` takes from here; no key comes along",
    "ORCHESTRATOR_TASK_ID": "the id of the task",
    "ORCHESTRATOR_ATTEMPT": "the number of the attempt",
    "ORCHESTRATOR_WORK_DIRECTORY": "the directory that it works in; in a worktree that one",
    "ORCHESTRATOR_TREE": "what the worker finds all processes of the task by, to end them",
    "TRACEPARENT": "the trace (W3C) of the attempt, when there is one",
}
INTRODUCTION: Final = """\
# Environment variables

<!-- Written by docs/reference/environment.py; a test compares it with the code. -->

Each setting of the server has [a variable](settings.md), and so has each option of [orchestrator](cli.md#options-that-many-have)
and [orchestrator-worker](worker-cli.md). These are the others, and those that several programs share.

"""


def pages() -> Mapping[str, str]:
    """The page by its place below docs/reference."""
    lines: list[str] = []
    for title, found in {
        "Commands, workers and the SDK": CLIENTS,
        "The server": SERVERS,
        "What a task's program is given": TASKS,
    }.items():
        lines += [f"## {title}", "", *table(("variable", "is"), ((f"`{name}`", said) for name, said in found.items())), ""]
    inherited = ", ".join(f"`{name}`" for name in INHERITED)
    lines += [
        "Beside these it gets the `environment` of its task, and of its worker's only what one needs to work:",
        f"{inherited}; an agent also what it is logged in with.",
        "",
    ]
    return {"environment.md": INTRODUCTION + "\n".join(lines)}
