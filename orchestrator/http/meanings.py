"""What the OpenAPI document says beside types: what fields, answers and tags mean, and bodies to begin with."""

import json
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from worker_client.errors import ERRORS

HERE: Final = Path(__file__).parent
ANY: Final = "any"
"""The section of fields that mean the same everywhere."""
PATH: Final = "path"
"""The section of what stands in addresses."""
TAGS: Final = {
    "Tasks": "Put work in, look at it, and change what becomes of it.",
    "Work": "Take tasks and report on them: what workers call.",
    "Logs": "The output of tasks.",
    "Attempts": "The history of who did what, across tasks.",
    "Workers": "Who works, and the accounts that they use.",
    "Directories": "Pauses, limits and budgets of directories, and where tasks wait.",
    "Schedules": "Work by the clock.",
    "Workflows": "Graphs of tasks, and their runs.",
    "Deployment": "Switch the triggers of a workflow on and off.",
    "Triggers": "What starts workflows, and what became of it.",
    "Webhooks": "Where others call, with no key of this server.",
    "Commands": "Prompts with a name.",
    "Notifications": "Rules that say who is told of what, and what became of it.",
    "Statistics": "Counts, durations and costs.",
    "Advice": "Why something fails, and what to change.",
    "Events": "What happens, as it happens.",
    "Keys": "Who may do what.",
    "Addresses": "Who may connect.",
    "System": "The server itself.",
    "Health": "Whether it works, for probes and Prometheus.",
    "MCP": "The same for agents, over the Model Context Protocol.",
}
"""The headings of the document in the order of their use."""
_TIMES: Final = frozenset({"at", "until", "held_until", "last_checked", "timestamp"})
_SUCCESS: Final = {
    101: "The WebSocket is open.",
    200: "Done.",
    201: "Created.",
    202: "Taken: what it begins goes on.",
    204: "Done; there is nothing to tell.",
}


@cache
def fields() -> Mapping[str, Mapping[str, str]]:
    """The meanings of fields, by the names of objects and `any`."""
    found: dict[str, dict[str, str]] = {}
    for names, meanings in tomllib.loads((HERE / "fields.toml").read_text(encoding="utf-8")).items():
        for name in names.split():
            found.setdefault(name, {}).update(meanings)
    return found


@cache
def _examples() -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "examples.json").read_text(encoding="utf-8"))
    return found


def example(body: str) -> Any:
    """A body that could be sent, by the name of its object."""
    return _examples()[body]


def explain(schemas: MutableMapping[str, dict[str, Any]]) -> None:
    """Have each field say what it means, and each time that it is one."""
    for name, schema in schemas.items():
        for field, facts in schema.get("properties", {}).items():
            if field.endswith("_at") or field in _TIMES:
                _timed(facts)
            if meaning := meaning_of(name, field):
                facts["description"] = meaning


def _timed(facts: dict[str, Any]) -> None:
    """A time without rules for its offset is any string to msgspec."""
    for one in facts.get("anyOf", [facts]):
        if one == {"type": "string"}:
            one["format"] = "date-time"


def meaning_of(name: str, field: str) -> str:
    """What a field of an object means; empty when nobody says."""
    known = fields()
    return known.get(name, {}).get(field) or known[ANY].get(field, "")


def answered(status: int) -> str:
    """What an answer with this status means."""
    return _SUCCESS.get(status) or " ".join(_refused(status))


def _refused(status: int) -> Iterator[str]:
    for code, kind in ERRORS.items():
        if kind.status == status:
            yield f"`{code}`: {' '.join((kind.__doc__ or '').split())}"
