"""Rows that will be asked for next, as of the last commit: only where nobody else writes.

A stale head is found out by the version guard.
"""

from collections.abc import Mapping
from typing import Final

from orchestrator.domain.source import Settings
from orchestrator.domain.task import Head, Inputs
from worker_client.contract.enums import Status

MOST: Final = 8_192
"""Tasks; about 1 kB each, and their inputs."""
SHORT: Final = 2_000
"""Characters of inputs that are kept; longer ones are read when they are needed."""


class Memory:
    """Heads and inputs of the tasks that wait first, and of all that somebody works on.

    `settings`: of directories, of which every heartbeat asks; there may be thousands. None: to be read.
    """

    def __init__(self) -> None:
        self.heads: dict[int, Head] = {}
        self.inputs: dict[int, Inputs] = {}
        self.settings: Settings | None = None

    def remember(self, saved: Mapping[int, Head | None], inputs: Mapping[int, Inputs | None]) -> None:
        """Take over what a transaction changed; None: it is gone, or has to be read again."""
        for task_id, head in saved.items():
            if head is None or head.status.final:
                self.heads.pop(task_id, None)
                self.inputs.pop(task_id, None)
            elif task_id in self.heads or len(self.heads) < MOST:
                self.heads[task_id] = head
            elif head.status is not Status.WAITING:
                # Whoever came first is claimed first, so a full memory has no room for another that waits.
                self.inputs.pop(self.heads.popitem()[0], None)
                self.heads[task_id] = head
        for task_id, given in inputs.items():
            if given is None or task_id not in self.heads or not _short(given):
                self.inputs.pop(task_id, None)
            else:
                self.inputs[task_id] = given

    def clear(self) -> None:
        """Forget everything: a transaction failed."""
        self.heads.clear()
        self.inputs.clear()
        self.settings = None


def _short(inputs: Inputs) -> bool:
    texts = (inputs.prompt, inputs.description, inputs.spec, inputs.environment, inputs.resource_limits, inputs.metadata)
    return sum(len(text) for text in texts if text) <= SHORT
