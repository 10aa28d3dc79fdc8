"""What files declare: schedules, workflows, commands and rules of notifications, each with its place in a file."""

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.cli import documents
from orchestrator.cli.definitions import shaped
from orchestrator.cli.documents import Document, Path_
from orchestrator.cli.options import work_path
from orchestrator.domain.paths import PathError, canonical
from worker_client.contract.commands import CreateCommand
from worker_client.contract.notifications import CreateNotificationRule
from worker_client.contract.request import Request
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.workflows import CreateWorkflow
from worker_client.errors import ValidationFailed

KINDS: Final[dict[str, type[Request]]] = {
    "command": CreateCommand,
    "workflow": CreateWorkflow,
    "schedule": CreateSchedule,
    "notification": CreateNotificationRule,
}
"""In the order in which they are made: a schedule may need a workflow, a step a command."""
_LISTS: Final = {f"{kind}s": kind for kind in KINDS}
_DIRECTORY: Final = "work_directory"
_DIRECTORIES: Final = "work_path"
_COMMANDS: Final = "commands"


class Declared(Struct, frozen=True, kw_only=True):
    """One definition. `given`: the names of the fields that the file has; `uses`: the name of a schedule's workflow.

    `deploy`: whether the triggers of a workflow are to be on; None: as they are.
    """

    kind: str
    name: str
    body: Any
    given: frozenset[str]
    place: str
    uses: str | None = None
    deploy: bool | None = None


def declared(given: Sequence[Path]) -> list[Declared]:
    """All that files, and the files in folders, declare. Raises ValidationFailed for the first thing that is wrong."""
    found: list[Declared] = []
    places: dict[tuple[str, str], str] = {}
    for document, folder in _documents(given):
        for one in _in(document, folder):
            if before := places.get((one.kind, one.name)):
                raise ValidationFailed(f"{one.place}: there is a {one.kind} {one.name!r} in {before}, too: give one another name")
            places[one.kind, one.name] = one.place
            found.append(one)
    if not found:
        raise ValidationFailed(f"nothing is declared in {', '.join(map(str, given))}: see docs/apply.md for what a file says")
    return found


def _documents(given: Sequence[Path]) -> Iterator[tuple[Document, Path]]:
    for path in given:
        for file in _prompts(path):
            yield _prompt(file, path), file.parent
        if str(path) == "-":
            for document in documents.parsed(sys.stdin.buffer.read(), ".yaml", "standard input"):
                yield document, Path.cwd()
        for file in _files(path):
            for document in documents.read(file):
                yield document, file.parent


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [] if str(path) == "-" else [path]
    return _below(path, documents.SUFFIXES)


def _below(path: Path, suffixes: Collection[str]) -> list[Path]:
    below = (file for file in path.rglob("*") if file.suffix in suffixes and file.is_file())
    shown = sorted(file for file in below if not any(part.startswith(".") for part in file.relative_to(path).parts))
    for file in shown:
        # A folder that others have filled would have whoever applies it send what only they can read.
        if not file.resolve().is_relative_to(path.resolve()):
            raise ValidationFailed(f"{file} leads out of {path}: put the file itself there, or name it with -f")
    return shown


def _prompts(path: Path) -> list[Path]:
    """The Markdown files of a folder's commands."""
    return [file for file in _below(path, {".md"}) if _COMMANDS in file.relative_to(path).parts[:-1]] if path.is_dir() else []


def _prompt(file: Path, folder: Path) -> Document:
    """A Markdown file as what it declares: a command, by its path below the folder of the commands."""
    from orchestrator.domain.commands import parse

    parts = file.relative_to(folder).with_suffix("").parts
    named = "/".join(parts[parts.index(_COMMANDS) + 1 :])
    try:
        found = parse(file.read_text(encoding="utf-8"), named)
    except (OSError, UnicodeDecodeError) as error:
        raise ValidationFailed(f"{file} cannot be read: {error}") from None
    if found.problem is not None:
        raise ValidationFailed(f"{file}: the command {named!r} cannot be used: {found.problem}")
    fields = {name: getattr(found, name) for name in CreateCommand.__struct_fields__ if name != "managed_by"}
    return Document(str(file), {"kind": "command", **msgspec.to_builtins(fields)}, {})


def _in(document: Document, folder: Path) -> Iterator[Declared]:
    value = document.value
    if value is None:
        return
    if not isinstance(value, dict):
        raise ValidationFailed(f"{document.at()}: expected an object with {_expected()}")
    if "kind" in value:
        if value["kind"] not in KINDS:
            raise ValidationFailed(f"{document.at(('kind',))} is {value['kind']!r}: expected {', '.join(KINDS)}")
        yield _one(document, (), {name: part for name, part in value.items() if name != "kind"}, value["kind"], folder)
        return
    for name, listed in value.items():
        if name not in _LISTS:
            raise ValidationFailed(f"{document.at((name,))}: unknown field `{name}`; expected {_expected()}")
        if not isinstance(listed, list):
            raise ValidationFailed(f"{document.at((name,))}: expected a list")
        for place, one in enumerate(listed):
            yield _one(document, (name, place), one, _LISTS[name], folder)


def _expected() -> str:
    return f"`kind` ({', '.join(KINDS)}) and its fields, or lists: {', '.join(_LISTS)}"


def _one(document: Document, path: Path_, value: Any, kind: str, folder: Path) -> Declared:
    if not isinstance(value, dict):
        raise ValidationFailed(f"{document.at(path)}: expected an object")
    value = _located(value, folder)
    if kind == "notification" and isinstance(paths := value.get(_DIRECTORIES), list):
        value[_DIRECTORIES] = [_located({_DIRECTORY: path}, folder)[_DIRECTORY] for path in paths]
    own: dict[str, Any] = {}
    if "managed_by" in value:
        raise ValidationFailed(f"{document.at((*path, 'managed_by'))}: the label is given with --label, for all files")
    if kind == "workflow" and "deploy" in value:
        own["deploy"] = value.pop("deploy")
        if not isinstance(own["deploy"], bool):
            raise ValidationFailed(f"{document.at((*path, 'deploy'))}: expected true or false")
    called = value.get("workflow")
    if kind == "schedule" and isinstance(called, dict) and "name" in called:
        named = dict(called)
        if "id" in named:
            raise ValidationFailed(
                f"{document.at((*path, 'workflow'))}: `id` and `name` both say which workflow; use one of them"
            )
        own["uses"] = named["id"] = named.pop("name")
        value["workflow"] = named
    body: Any = shaped(document, path, value, KINDS[kind])
    given = frozenset(value)
    return Declared(kind=kind, name=body.name, body=body, given=given, place=document.at(path), **own)


def _located(value: Any, folder: Path) -> Any:
    """Work directories that are relative to the file, made absolute; templates and other absolute ones as the server has them."""
    if isinstance(value, list):
        return [_located(one, folder) for one in value]
    if not isinstance(value, dict):
        return value
    located = {name: _located(one, folder) for name, one in value.items()}
    directory = located.get(_DIRECTORY)
    if isinstance(directory, str) and "{{" not in directory and "{%" not in directory:
        if directory.startswith(("~", ".")) and not located.get("host"):
            directory = work_path(str(folder / Path(directory).expanduser()))
        located[_DIRECTORY] = _canonical(directory)
    return located


def _canonical(directory: str) -> str:
    try:
        return canonical(directory)
    except PathError:
        # The server says what is wrong, with the field.
        return directory
