"""The frame of every JSON answer."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType

T = TypeVar("T")


class ErrorBody(Struct, kw_only=True):
    """What went wrong: a stable code, a sentence for people, facts for programs."""

    code: str
    message: str
    details: dict[str, Any] = {}


class Envelope(Struct, Generic[T], kw_only=True):
    """`data` of an answer, or its `error`."""

    success: bool
    data: T | None
    error: ErrorBody | None
    timestamp: datetime


class Page(Struct, Generic[T], kw_only=True):
    """A part of a list; `total` is counted up to 10,000, past that `total_exact` is false.

    `unsearched`: tasks with ids up to this one are not in the index of words yet, which an upgrade has begun to make.
    """

    items: list[T]
    total: int
    total_exact: bool = True
    limit: int
    offset: int
    next_cursor: str | None = None
    unsearched: int | UnsetType = UNSET
