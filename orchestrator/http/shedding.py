"""Refusing new work, and the asking for it, while there is more in hand than can be done: before anything is done about it.

Whoever holds a lease is never refused: shedding heartbeats is how overload becomes collapse.
"""

from collections.abc import Mapping, Sized
from typing import Any, Final

from litestar.datastructures import State

from worker_client.errors import Overloaded

_NEW: Final = (("POST", "/tasks"), ("POST", "/tasks/batch"), ("GET", "/tasks/next"), ("POST", "/tasks/claim"))


class Shedding:
    """Goes by the setting `limits.backlog`; `tasks`: the requests in hand, of which those that are held cost next to nothing."""

    def __init__(self, state: State, tasks: Sized, root_path: str) -> None:
        self._state = state
        self._tasks = tasks
        self.look(slow=0)
        self._new = frozenset((method, f"{root_path}/api/v1{path}") for method, path in _NEW)

    def look(self, slow: int) -> None:
        """Take note of how things stand; `slow`: how many requests wait for their clients to send the rest."""
        self._slow = slow
        self._most: int = self._state.settings.limits.backlog

    def __call__(self, scope: Mapping[str, Any]) -> Overloaded | None:
        """Why a request is not even read; None when it is."""
        if len(self._tasks) < self._most:
            return None
        state = self._state
        if len(self._tasks) - len(state.doors.held) - self._slow < self._most:
            return None
        asked = (scope["method"], scope["path"])
        if asked not in self._new:
            return None
        state.metrics.operations_shed += 1
        state.metrics.responded(*asked, 503, 0.0)
        return Overloaded("the server has more to do than it can; try again", retry_after=1.0)
