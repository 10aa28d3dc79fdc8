"""What forms can do, by name: each turns its fields into calls of the API, which decides whether that may be."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from orchestrator.dashboard.acting import definitions, flows, one_task, places, preferences, tasks, telling, together
from orchestrator.dashboard.acting.act import Act

ACTIONS: Final[Mapping[str, Act]] = MappingProxyType({
    **preferences.ACTIONS, **tasks.ACTIONS, **one_task.ACTIONS, **together.ACTIONS, **places.ACTIONS, **definitions.ACTIONS,
    **telling.ACTIONS, **flows.ACTIONS,
})  # fmt: skip
"""`POST /do/<name>`."""
FORMS: Final[Mapping[str, str]] = MappingProxyType({"create_task": "/tasks/new"})
"""Pages that are drawn again, with what was typed, when what their form asks for is refused."""
