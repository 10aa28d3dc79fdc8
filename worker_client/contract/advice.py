"""Advice: what went wrong or will, in words, with what it rests on and what to do."""

from enum import StrEnum
from typing import Annotated

from msgspec import Struct

from worker_client.contract.enums import Status
from worker_client.contract.fields import JsonObject, Name, Paths, Several
from worker_client.contract.request import Paged


class Confidence(StrEnum):
    """How sure it is: a fact, what the evidence says, or one reading of it."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


class Evidence(Struct, kw_only=True, omit_defaults=True):
    """One fact that advice rests on; `line`: the number of a line of the task's output, `attempt`: which one of the task."""

    text: str
    line: int | None = None
    attempt: int | None = None
    task_id: int | None = None
    schedule_id: int | None = None


class Advice(Struct, kw_only=True):
    """One piece of advice; `code` and `facts` say the same as `message` and `suggestion`, for other languages.

    Durations among the facts are in seconds, shares from 0 to 1. What is heavier (`weight`, 1 to 100) matters more.
    """

    code: str
    message: str
    suggestion: str
    weight: int
    confidence: Confidence = Confidence.CERTAIN
    facts: JsonObject = {}
    evidence: list[Evidence] = []
    work_directory: str | None = None
    host: str | None = None
    task_id: int | None = None
    schedule_id: int | None = None


class TaskAdvice(Struct, kw_only=True):
    """Why a task failed, the heaviest reason first; `summary` is that reason, or says that there is none."""

    id: int
    status: Status
    summary: str
    items: list[Advice]


class ListAdvice(Paged, kw_only=True):
    """A page of advice about the whole, the heaviest first."""

    work_path: Paths | None = None
    recursive: bool = False
    code: Annotated[list[Name], Several] | None = None
