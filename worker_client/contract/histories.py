"""What became of a task, and what it hangs together with: its events, and the graph of its dependencies."""

from typing import Annotated

from msgspec import Meta, Struct

from worker_client.contract.enums import Status
from worker_client.contract.events import Event
from worker_client.contract.fields import Limit
from worker_client.contract.request import Request


class ReadTaskEvents(Request, kw_only=True):
    """How many of the last events of a task."""

    limit: Limit = 200


class TaskEvents(Struct, kw_only=True):
    """The last events of a task, in their order.

    `complete`: these are all since it was created; else older ones are forgotten already, or more than are looked through.
    """

    items: list[Event]
    complete: bool


class ReadGraph(Request, kw_only=True):
    """How far from the task, and how many tasks in all."""

    depth: Annotated[int, Meta(ge=1, le=10)] = 3
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class GraphTask(Struct, kw_only=True):
    """A task of a graph."""

    id: int
    title: str | None
    kind: str
    status: Status
    work_directory: str
    host: str


class GraphEdge(Struct, kw_only=True):
    """`child` depends on `parent`; `satisfied`: it waits for it no longer."""

    parent: int
    child: int
    satisfied: bool


class TaskGraph(Struct, kw_only=True):
    """A task, what it depends on and what depends on it; `complete` is false where more of both is left out."""

    nodes: list[GraphTask]
    edges: list[GraphEdge]
    complete: bool
