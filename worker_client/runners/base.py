"""What a runner is, and what it is given to work with."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Progress, Usage
from worker_client.contract.tasks import ClaimedTask
from worker_client.logs import LogShipper
from worker_client.runners.outcomes import Outcome


class Notes:
    """What is to be said with the next heartbeat; `news` is set while there is something, `known` is all that was noted."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self.news = asyncio.Event()

    def put(self, **fields: Any) -> None:
        """Say this next; what is newer replaces what is older."""
        self._fields.update(fields)
        self.known.update(fields)
        self.news.set()

    def take(self) -> dict[str, Any]:
        """Everything unsaid; give it back when saying it failed."""
        fields, self._fields = self._fields, {}
        self.news.clear()
        return fields

    def give_back(self, fields: dict[str, Any]) -> None:
        """Say this again, unless something newer has come."""
        if fields:
            self._fields = fields | self._fields
            self.news.set()


class RunContext:
    """One run of one task. Its methods may be called from any thread.

    `directory`: where to work, symlinks resolved; `exclusive`: with nobody else in it; `worktree`: the top of the git worktree
    that it is in, when one was made for the task. `cancelled`: set when the work has to stop, `stopping` says why (a value of
    Stop); a coroutine is cancelled as well and has `grace` seconds, a second cancellation says to stop at once.
    """

    def __init__(
        self, task: ClaimedTask, *, directory: str, exclusive: bool, server_url: str, logs: LogShipper, notes: Notes
    ) -> None:
        self.task = task
        self.directory = directory
        self.worktree: str | None = None
        self.exclusive = exclusive
        self.server_url = server_url
        self.grace = 10.0
        self.stopping: str | None = None
        self.cancelled = threading.Event()
        self.logs = logs
        self._notes = notes
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lease_followers: list[Callable[[float], None]] = []
        self.lease_left: Callable[[], float] = lambda: 0.0

    def log(self, text: str, stream: LogStream = LogStream.STDOUT) -> None:
        """Store output; every line of the text becomes one."""
        self._call(self.logs.add, text, stream)

    def progress(self, percent: float | None = None, message: str | None = None) -> None:
        """Say how far the work is."""
        self._call(lambda: self._notes.put(progress=Progress(percent=percent, message=message)))

    def set_session(self, session_id: str, agent: str | None = None) -> None:
        """Have the session of an agent remembered, so that a later attempt can go on with it."""
        self._call(lambda: self._notes.put(session_id=session_id, agent=agent))

    def checkpoint(self, value: Any) -> None:
        """Have any JSON remembered, so that a later attempt can go on from it (`task.checkpoint`)."""
        self._call(lambda: self._notes.put(checkpoint=value))

    def used(self, usage: Usage) -> None:
        """Say what this attempt used so far."""
        self._call(lambda: self._notes.put(usage=usage))

    def follow_lease(self, follower: Callable[[float], None]) -> None:
        """Be told, now and whenever the lease is extended, how many seconds the work may go on."""
        self._lease_followers.append(follower)
        follower(self.lease_left())

    def lease_extended(self) -> None:
        """Tell those who follow the lease."""
        for follower in self._lease_followers:
            follower(self.lease_left())

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        if threading.get_ident() == self._thread:
            function(*args)
        else:
            self._loop.call_soon_threadsafe(function, *args)


@runtime_checkable
class Particular(Protocol):
    """A runner that does only some of the tasks of its kind."""

    def objection(self, task: ClaimedTask) -> str | None:
        """Why a task is given back before it is begun; None when it can be done here."""


class Runner(Protocol):
    """Does the work of one kind of task."""

    @property
    def kind(self) -> str:
        """The kind of tasks to ask for."""

    @property
    def needs_directory(self) -> bool:
        """Whether the task's work directory has to exist."""

    async def run(self, context: RunContext) -> Outcome:
        """Do the work. An exception is a failure.

        When cancelled, stop within `context.grace` seconds and raise on, or return what is known of the attempt: Failed then
        lends its evidence and usage to what the worker reports of a stop, anything else is reported as it is.
        """
