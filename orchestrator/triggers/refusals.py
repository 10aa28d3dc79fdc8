"""Calls that were refused: each is counted, few are written down, so that strangers fill no disk and keep no commit busy."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain.trigger_operations import Deliver

EVERY_S: Final = 10.0
_MOST: Final = 10_000


class _Kind(Struct):
    written_at: float
    last: Deliver
    times: int = 0


class Refusals:
    """The first of a kind (same trigger, same reason) is written down at once, those after it together; `clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kinds: dict[tuple[str, int, str | None], _Kind] = {}

    def one(self, op: Deliver) -> Deliver | None:
        """Count one; given back is what is to be submitted now, if anything is."""
        now, kind = self._clock(), (op.workflow_id, op.place, op.reason)
        before = self._kinds.get(kind)
        if before is None:
            if len(self._kinds) >= _MOST:
                return None
            self._kinds[kind] = _Kind(now, op)
            return op
        before.last, before.times = op, before.times + 1
        return self._due(before, now)

    def due(self) -> list[Deliver]:
        """What is to be submitted by now."""
        now = self._clock()
        found = [op for kind in self._kinds.values() if (op := self._due(kind, now)) is not None]
        self._kinds = {key: kind for key, kind in self._kinds.items() if kind.times or now - kind.written_at < EVERY_S}
        return found

    @staticmethod
    def _due(kind: _Kind, now: float) -> Deliver | None:
        if not kind.times or now - kind.written_at < EVERY_S:
            return None
        op = replace(kind.last, times=kind.times)
        kind.written_at, kind.times = now, 0
        return op
