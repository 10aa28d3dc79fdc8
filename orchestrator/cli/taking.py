"""Commands of others, taken from their files to the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from orchestrator.cli import documents
from orchestrator.commands.importing import Found, in_document, in_markdown
from worker_client.client import Client
from worker_client.contract.commands import CreateCommand
from worker_client.errors import Conflict, Forbidden, OrchestratorError, PayloadTooLarge, ValidationFailed

_REFUSALS = (ValidationFailed, PayloadTooLarge, Conflict, Forbidden)


class Fate(Struct, frozen=True):
    """What became of a command in a file: created, replaced, there (left as it is), or refused with the reason."""

    file: str
    at: str
    named: str
    fate: str
    reason: str = ""


def taken(file: Path, client: Client, *, replace: bool, dry: bool) -> Iterator[Fate]:
    """Take over the commands of a file. Raises OrchestratorError when the server does not answer."""
    try:
        found = list(_found(file))
    except ValidationFailed as error:
        found = [Found("", "", None, error.message)]
    for one in found:
        if one.made is None:
            yield Fate(str(file), one.at, one.named, "refused", one.problem)
            continue
        try:
            fate = _kept(one.made, client, replace=replace, dry=dry)
        except _REFUSALS as refusal:
            yield Fate(str(file), one.at, one.made.name, "refused", refusal.message)
        else:
            renamed = "" if one.named == one.made.name else f"{one.named!r} there"
            yield Fate(str(file), one.at, one.made.name, fate, renamed)


def _found(file: Path) -> Iterator[Found]:
    if file.suffix != ".md":
        for document in documents.read(file):
            yield from in_document(document.value)
        return
    try:
        yield in_markdown(file.read_text(encoding="utf-8"), file.stem)
    except (OSError, UnicodeDecodeError) as error:
        yield Found("", file.stem, None, f"it cannot be read: {error}")


def _kept(made: CreateCommand, client: Client, *, replace: bool, dry: bool) -> str:
    fields: dict[str, Any] = {part: getattr(made, part) for part in ("body", "description", "arguments", "settings")}
    there = _is_there(made.name, client)
    if there and not replace:
        return "there"
    if not dry:
        if there:
            client.update_command(made.name, **fields)
        else:
            client.create_command(name=made.name, **fields)
    return "replaced" if there else "created"


def _is_there(name: str, client: Client) -> bool:
    try:
        client.get_command(name)
    except OrchestratorError as error:
        if error.code == "NOT_FOUND":
            return False
        raise
    return True
