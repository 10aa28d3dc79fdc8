"""What an endpoint makes: a `Call`, that says what to send, what comes back, and when it may be sent again."""

from enum import Enum, auto
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct, structs

from worker_client.contract import tasks
from worker_client.contract.fields import JsonObject
from worker_client.contract.request import Request

T = TypeVar("T")
API = "/api/v1"


def named(name: str, safe: str = "") -> str:
    """A name as a part of a path; dots are escaped, too, so that `..` in it leads to no other endpoint."""
    return quote(name, safe=safe).replace(".", "%2E")


class Repeat(Enum):
    """What makes it harmless to send a call again when its answer was lost."""

    NEVER = auto()
    SAFE = auto()
    """Reads, and writes that only say how things shall be."""
    KEY = auto()
    """Creates: the same `key` creates once."""
    POLL = auto()
    """Claims: the same `poll_id` returns the same claim."""
    REPORT = auto()
    """Ends of a lease: the second one is refused as `already_applied`."""


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """One request: what to send, what comes back as T, and when it may be sent again.

    `hold`: seconds that the server may keep the answer back. `bare`: the answer has no envelope. `applied`: what to send for
    the answer when the server says that the write had already been applied.
    """

    method: str
    path: str
    returns: Any
    params: Request | None = None
    body: Request | JsonObject | None = None
    repeat: Repeat = Repeat.NEVER
    hold: float = 0
    bare: bool = False
    applied: "Call[T] | None" = None

    def repeatable(self, unique: str) -> "Call[T]":
        """The call with `unique` as its key or poll_id where the caller gave none, so that a repetition changes nothing."""
        if isinstance(self.body, tasks.CreateTask) and self.body.key is None:
            return structs.replace(self, body=structs.replace(self.body, key=unique))
        if isinstance(self.body, tasks.CreateTasks):
            keyed = [
                task if task.key else structs.replace(task, key=f"{unique}-{place}") for place, task in enumerate(self.body.tasks)
            ]
            return structs.replace(self, body=tasks.CreateTasks(tasks=keyed))
        for side in ("params", "body"):
            claim = getattr(self, side)
            if isinstance(claim, tasks.ClaimNext) and claim.poll_id is None:
                return structs.replace(self, **{side: structs.replace(claim, poll_id=unique)})
        return self


def read(path: str, returns: Any, params: Request | None = None, *, hold: float = 0, bare: bool = False) -> Call[Any]:
    """A call that looks."""
    return Call(method="GET", path=path, returns=returns, params=params, repeat=Repeat.SAFE, hold=hold, bare=bare)


def post(
    path: str, returns: Any, body: Request | JsonObject | None = None, repeat: Repeat = Repeat.NEVER, *, hold: float = 0
) -> Call[Any]:
    """A call that does something."""
    return Call(method="POST", path=path, returns=returns, body=body, repeat=repeat, hold=hold)
