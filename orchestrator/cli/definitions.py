"""Definitions in files: of the contract's shape, or refused with the file and the place of what is wrong."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from orchestrator.cli import documents
from orchestrator.cli.documents import Document, Path_, path_of, written
from orchestrator.domain.explain import invalid
from worker_client.contract.request import Request
from worker_client.contract.workflows import CreateWorkflow, UpdateWorkflow
from worker_client.errors import ValidationFailed

R = TypeVar("R", bound=Request)


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
        refusal = invalid(error, kind, value, within=written(path))
        place = document.line(path_of(f".{refusal.details['field']}"))
        raise ValidationFailed(f"{place}: {refusal.message}") from None
