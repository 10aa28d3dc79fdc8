"""What a listener wants to hear of, and may; and who wants to hear of an event, found without asking everybody."""

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.domain.paths import ancestors
from orchestrator.domain.principal import EVERYWHERE, PathScope
from orchestrator.store.protocol import FeedEvent

Key = tuple[str, str | int]
_ALL: Key = ("all", "")
_NONE: Key = ("none", "")


class Topics(Struct, frozen=True):
    """Filters, of which None lets everything through; `visible` is what the listener may know of.

    What is about the server itself is for those alone who administer it.
    """

    asked: PathScope = EVERYWHERE
    types: frozenset[str] | None = None
    tasks: frozenset[int] | None = None
    visible: PathScope = EVERYWHERE
    administers: bool = False

    def cover(self, event: FeedEvent) -> bool:
        """Whether an event is wanted, and may be told."""
        return (
            (self.types is None or event.type in self.types)
            and (self.tasks is None or event.task_id in self.tasks)
            and (self.visible.covers(event.path) if event.path else self.administers)
            and self.asked.covers(event.path)
        )

    @property
    def keys(self) -> list[Key]:
        """Every event that is covered has one of these: the fewest that is known to be so."""
        patterns = self.visible.patterns if self.asked.patterns is None else self.asked.patterns
        if self.tasks is not None:
            found: list[Key] = [("task", task_id) for task_id in self.tasks]
        elif patterns is not None:
            found = [("below" if pattern.below else "at", pattern.path) for pattern in patterns]
        else:
            found = [_ALL] if self.types is None else [("type", one) for one in self.types]
        return found or [_NONE]


def keys_of(event: FeedEvent) -> Iterator[Key]:
    """All keys that an event has."""
    yield _ALL
    yield ("type", event.type)
    if event.task_id:
        yield ("task", event.task_id)
    if event.path:
        yield ("at", event.path)
        for path in ancestors(event.path):
            yield ("below", path)
