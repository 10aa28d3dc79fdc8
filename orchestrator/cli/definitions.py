"""Definitions in files: of the contract's shape, or refused with the file and the place of what is wrong."""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from orchestrator.cli import documents
from orchestrator.cli.documents import Document, Path_, path_of
from worker_client.contract.request import Request
from worker_client.contract.workflows import CreateWorkflow, UpdateWorkflow
from worker_client.errors import ValidationFailed

R = TypeVar("R", bound=Request)
_FIELD = re.compile(r"(?:unknown|missing required) field `([^`]+)`")


def workflow_in(file: Path) -> CreateWorkflow:
    """The one workflow that a file defines."""
    found = documents.read(file)
    if len(found) != 1:
        raise ValidationFailed(f"{file} has {len(found)} documents: a workflow is one; `orchestrator apply` takes several")
    return shaped(found[0], (), found[0].value, CreateWorkflow)


def changed_workflow(body: CreateWorkflow) -> UpdateWorkflow:
    """What makes a workflow as this body says, and nothing else."""
    fields = UpdateWorkflow.__struct_fields__
    return UpdateWorkflow(**{name: getattr(body, name) for name in fields if name != "version"})


def shaped(document: Document, path: Path_, value: Any, kind: type[R]) -> R:
    """A part of a document as a body of the API. Raises ValidationFailed with its place."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        told, _, where = str(error).partition(" - at `")
        inside = path_of(where)
        if named := _FIELD.search(told):
            raise ValidationFailed(f"{document.at((*path, *inside, named[1]))}: {named[0]}{_known(kind, inside)}") from None
        raise ValidationFailed(f"{document.at((*path, *inside))}: {told}") from None


def _known(kind: type[Request], inside: Path_) -> str:
    """The fields that there are, where that is short to say."""
    return "" if inside else f"; the fields are {', '.join(kind.__struct_fields__)}"
