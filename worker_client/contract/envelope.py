"""The frame of every JSON answer."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec import Struct

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
    """A part of a list; `total` is counted up to 10,000, past that `total_exact` is false."""

    items: list[T]
    total: int
    total_exact: bool = True
    limit: int
    offset: int
    next_cursor: str | None = None
