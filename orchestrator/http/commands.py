"""Commands: named prompts, files in a folder of the server's."""

from typing import Any, Final

import msgspec
from litestar import delete, get, post, put

from orchestrator.commands.keeper import Keeper
from orchestrator.domain import operations as ops
from orchestrator.domain.command import Command
from orchestrator.domain.moments import moment
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer, empty
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import part
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, submit, unlimited
from worker_client.contract import commands as contract
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page

_CHANGED: Final[dict[str, Any]] = {"errors": (403, 409)}


@get("/commands", opt=described(Page[contract.Command], query=contract.ListCommands), scope=Scope.READ)
async def list_commands(request: Asked) -> Answer:
    """List commands by name, also those whose files cannot be used; `q`: a part of the name or the description."""
    query = parse(request, contract.ListCommands)
    wanted = (query.q or "").casefold()
    found = [one for one in _kept(request).commands.values() if wanted in f"{one.name}\n{one.description}".casefold()]
    return answer(part([_shown(one) for one in sorted(found, key=lambda one: one.name)], query))


@post("/commands", opt=described(contract.Command, body=contract.CreateCommand, status=201, **_CHANGED), scope=Scope.ADMIN)
async def create_command(request: Asked) -> Answer:
    """Create a command; its file is on disk when this is answered."""
    unlimited(request)
    made = await _kept(request).create(await read(request, contract.CreateCommand))
    await _told(request, "command.created", made.name)
    return answer(_shown(made), 201)


@get("/commands/{name:path}", opt=described(contract.Command), scope=Scope.READ)
async def get_command(request: Asked) -> Answer:
    """Read a command."""
    nothing(request)
    return answer(_shown(_kept(request).named(_name(request))))


@put("/commands/{name:path}", opt=described(contract.Command, body=contract.UpdateCommand, **_CHANGED), scope=Scope.ADMIN)
async def update_command(request: Asked) -> Answer:
    """Change a command; what is left out stays."""
    unlimited(request)
    made = await _kept(request).change(_name(request), await read(request, contract.UpdateCommand))
    await _told(request, "command.changed", made.name)
    return answer(_shown(made))


@delete("/commands/{name:path}", opt=described(None, status=204, **_CHANGED), status_code=200, scope=Scope.ADMIN)
async def delete_command(request: Asked) -> Answer:
    """Delete a command with its file."""
    unlimited(request)
    nothing(request)
    await _kept(request).delete(name := _name(request))
    await _told(request, "command.deleted", name)
    return empty()


def _kept(request: Asked) -> Keeper:
    keeper: Keeper = request.app.state.commands
    return keeper


def _name(request: Asked) -> str:
    name: str = request.scope["path_params"]["name"]
    return str(name).removeprefix("/")


def _shown(command: Command) -> contract.Command:
    return contract.Command(
        name=command.name,
        description=command.description,
        arguments=list(command.arguments),
        body=command.body,
        settings=command.settings,
        updated_at=moment(command.updated_at),
        problem=command.problem,
    )


async def _told(request: Asked, what: str, name: str) -> None:
    await submit(request, ops.Note(type=what, data=msgspec.json.encode({"name": name}).decode()))


HANDLERS = tagged((list_commands, create_command, get_command, update_command, delete_command), "Commands")
