"""What those who see some directories alone are not told: which tasks elsewhere a task of theirs depends on."""

from collections.abc import Collection, Iterable

import msgspec
from msgspec.structs import replace

from orchestrator.domain.task import TaskView
from orchestrator.store.protocol import FeedEvent

_ids = msgspec.json.Decoder(list[int]).decode
_facts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def parents_of(views: Iterable[TaskView]) -> set[int]:
    """Ids of the tasks that some tasks name as their parents."""
    return {parent for view in views if view.inputs.depends_on != "[]" for parent in _ids(view.inputs.depends_on)}


def veiled(view: TaskView, seen: Collection[int]) -> TaskView:
    """A task that names none of its parents but those that are seen."""
    if view.inputs.depends_on == "[]":
        return view
    named = [parent for parent in _ids(view.inputs.depends_on) if parent in seen]
    return replace(view, inputs=replace(view.inputs, depends_on=_encode(named).decode()))


def veiled_data(data: str) -> str:
    """What an event says, without the parent that it names: nobody knows any more where that was."""
    if '"parent"' not in data:
        return data
    return _encode({name: fact for name, fact in _facts(data).items() if name != "parent"}).decode()


def veiled_event(event: FeedEvent) -> FeedEvent:
    """An event that names no parent."""
    data = veiled_data(event.data)
    return event if data is event.data else replace(event, data=data)
