"""What there is on the server, as bodies that what is declared can be compared with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import Struct

from orchestrator.cli.applying.declared import KINDS, Declared
from orchestrator.cli.reaching import every
from worker_client.errors import Conflict

if TYPE_CHECKING:
    from worker_client.client import Client

T = TypeVar("T")
LABEL: Final = "managed-by"
"""What the front matter of a command calls it."""


class Present(Struct, frozen=True, kw_only=True):
    """One definition on the server. `label`: of the files that made it; `deployed`: the version whose triggers are on."""

    kind: str
    name: str
    id: Any
    body: Any
    label: str | None
    version: int | None = None
    deployed: int | None = None


def present(client: "Client", wanted: Sequence[Declared]) -> dict[tuple[str, str], Present]:
    """All that the caller may see, by kind and name. Raises Conflict where two have a name that is wanted."""
    names = {(one.kind, one.name) for one in wanted} | {("workflow", one.uses) for one in wanted}
    found: dict[tuple[str, str], Present] = {}
    for one in (*_commands(client), *_workflows(client), *_schedules(client), *_rules(client)):
        key = (one.kind, one.name)
        if key in found and key in names:
            raise Conflict(
                f"you see two {one.kind}s {one.name!r}, in different directories: use a key that sees one of them only"
            )
        # Others may have one name as often as they like.
        found[(one.kind, f"{one.name} {one.id}") if key in found else key] = one
    return found


def _commands(client: "Client") -> list[Present]:
    listed = []
    for one in every(client.commands):
        settings = dict(one.settings)
        label = settings.pop(LABEL, None)
        body = _body("command", {**msgspec.to_builtins(one), "settings": settings})
        listed.append(Present(kind="command", name=one.name, id=one.name, body=body, label=label))
    return listed


def _workflows(client: "Client") -> list[Present]:
    return [_present("workflow", one, deployed=one.deployed_version) for one in every(client.workflows)]


def _schedules(client: "Client") -> list[Present]:
    return [
        _present("schedule", one)
        for one in every(client.schedules)
        # Those of a deployment come and go with it.
        if one.workflow_id is None
    ]


def _rules(client: "Client") -> list[Present]:
    return [_present("notification", one) for one in every(client.notification_rules)]


def _present(kind: str, one: Any, **more: Any) -> Present:
    body = _body(kind, msgspec.to_builtins(one))
    return Present(kind=kind, name=one.name, id=one.id, body=body, label=one.managed_by, version=one.version, **more)


def _body(kind: str, fields: dict[str, Any]) -> Any:
    """The body that would create it, as far as it is of the contract's shape: what cannot be compared is as if it differed."""
    known = {name: value for name in KINDS[kind].__struct_fields__ if (value := fields.get(name)) is not None}
    known.pop("managed_by", None)
    return known
