"""Since when an asker asks: a long poll ends after 50 s at the latest, the patience of exclusive askers goes on in the next."""

from msgspec.structs import replace

from orchestrator.domain.operations import Claim, Interest
from orchestrator.domain.task import Millis

_PAUSE_MS = 60_000
_MOST = 10_000


class Asking:
    """Remembers when each exclusive asker began; one that has not asked for a minute begins anew."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, Interest], tuple[Millis, Millis]] = {}

    def since(self, op: Claim, now: Millis) -> Claim:
        """The claim with the time since when it is asked for."""
        if not op.interest.exclusive:
            return replace(op, since=now)
        key = (op.worker_id, op.interest)
        began, seen = self._since.pop(key, (now, now))
        if now - seen > _PAUSE_MS:
            began = now
        if len(self._since) >= _MOST:
            self._since.pop(next(iter(self._since)))
        self._since[key] = (began, now)
        return replace(op, since=began)

    def got(self, op: Claim) -> None:
        """The asker was served: the next time it begins anew."""
        self._since.pop((op.worker_id, op.interest), None)
