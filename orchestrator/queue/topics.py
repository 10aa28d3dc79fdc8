"""What a listener wants to hear of, and may; and who wants to hear of an event, found without asking everybody."""

from functools import lru_cache

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
    runs: frozenset[int] | None = None
    visible: PathScope = EVERYWHERE
    administers: bool = False

    def cover(self, event: FeedEvent) -> bool:
        """Whether an event is wanted, and may be told."""
        return (
            (self.types is None or event.type in self.types)
            and (self.tasks is None or event.task_id in self.tasks)
            and (self.runs is None or event.run_id in self.runs)
            and (self.visible.covers(event.path) if event.path else self.administers)
            and self.asked.covers(event.path)
        )

    @property
    def keys(self) -> list[Key]:
        """Every event that is covered has one of these: the fewest that is known to be so."""
        patterns = self.visible.patterns if self.asked.patterns is None else self.asked.patterns
        if self.tasks is not None:
            found: list[Key] = [("task", task_id) for task_id in self.tasks]
        elif self.runs is not None:
            found = [("run", run_id) for run_id in self.runs]
        elif patterns is not None:
            found = [("below" if pattern.below else "at", pattern.path) for pattern in patterns]
        else:
            found = [_ALL] if self.types is None else [("type", one) for one in self.types]
        return found or [_NONE]

    @property
    def simple(self) -> bool:
        """Whether an event that has one of the keys is covered for sure."""
        limited, asked = self.visible.patterns is not None, self.asked.patterns is not None
        narrow = self.tasks is not None or self.runs is not None
        if narrow or (self.types is not None and (limited or asked)) or (limited and asked):
            return False
        return limited or asked or self.administers


def keys_of(event: FeedEvent) -> list[Key]:
    """All keys that an event has."""
    runs: list[Key] = [("run", event.run_id)] if event.run_id else []
    return [_ALL, ("type", event.type), ("task", event.task_id), *_keys_at(event.path), *runs]


@lru_cache(4096)
def _keys_at(path: str) -> tuple[Key, ...]:
    return (("at", path), *(("below", above) for above in ancestors(path))) if path else ()
