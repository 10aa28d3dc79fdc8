"""Who asks for work: remembered for people, no rule depends on it."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from msgspec import Struct

from orchestrator.domain.operations import Interest
from orchestrator.domain.paths import ancestors
from orchestrator.domain.task import Millis

UNSEEN_MS = 10 * 60_000
"""After so long without a question a worker is forgotten."""
_INTERESTS = 16
_LOOK_MS = 1_000
"""Times are known to the second: who asks in a loop is not written down each time."""


class Present(Struct):
    """A worker that asked: its questions with the time of each, and how many of its polls are held."""

    worker_id: str
    account: str | None
    asked: dict[Interest, Millis]
    interest: Interest
    """What it asked for last."""
    seen_at: Millis
    """When it last asked."""
    polls: int = 0


class Presence:
    """The last askers, at most `most`; the one unseen for longest is forgotten first."""

    def __init__(self, *, most: int = 100_000) -> None:
        self._most = most
        self._workers: dict[str, Present] = {}
        self._interests: dict[Interest, Millis] = {}
        self._at: dict[str, set[Interest]] = {}
        self._looked: Millis = 0

    def seen(self, worker_id: str, interest: Interest, account: str | None, now: Millis) -> None:
        """A worker asks."""
        known = self._workers.get(worker_id)
        if known and now - known.seen_at < _LOOK_MS and known.interest == interest and known.account == account:
            return
        worker = self._workers.pop(worker_id, None) or Present(worker_id, account, {}, interest, now)
        worker.account, worker.interest, worker.seen_at = account, interest, now
        _refresh(worker.asked, interest, now)
        while len(worker.asked) > _INTERESTS:
            del worker.asked[next(iter(worker.asked))]
        self._workers[worker_id] = worker
        if interest not in self._interests:
            for path in interest.paths:
                self._at.setdefault(path, set()).add(interest)
        _refresh(self._interests, interest, now)
        if now - self._looked > _LOOK_MS or len(self._workers) > self._most or len(self._interests) > self._most:
            self._forget(now)

    @contextmanager
    def asking(self, worker_id: str, interest: Interest, account: str | None, now: Millis) -> Iterator[None]:
        """A worker asks, and is there for as long as its call is held."""
        self.seen(worker_id, interest, account, now)
        worker = self._workers[worker_id]
        worker.polls += 1
        try:
            yield
        finally:
            worker.polls -= 1

    def list(self, now: Millis | None = None) -> list[Present]:
        """All workers that asked lately, by id."""
        self._forget(now)
        return sorted(self._workers.values(), key=lambda worker: worker.worker_id)

    def asks_for(self, path: str, host: str, kind: str, tags: Collection[str], now: Millis | None = None) -> bool:
        """Whether some worker asked lately for what such a task is; `host` empty: on any host."""
        self._forget(now)
        return any(
            (above == path or interest.recursive)
            and host in {"", interest.host}
            and (not interest.kinds or kind in interest.kinds)
            and interest.tags.issubset(tags)
            and interest.principal.paths.covers(path)
            for above in ancestors(path)
            for interest in self._at.get(above, ())
        )

    def _forget(self, now: Millis | None) -> None:
        self._looked = self._looked if now is None else now
        oldest = 0 if now is None else now - UNSEEN_MS
        while self._workers:
            worker = next(iter(self._workers.values()))
            if len(self._workers) <= self._most and worker.seen_at >= oldest:
                break
            del self._workers[worker.worker_id]
        while self._interests:
            interest, seen_at = next(iter(self._interests.items()))
            if len(self._interests) <= self._most and seen_at >= oldest:
                break
            del self._interests[interest]
            for path in set(interest.paths):
                self._at[path].discard(interest)
                if not self._at[path]:
                    del self._at[path]


def _refresh(asked: dict[Interest, Millis], interest: Interest, now: Millis) -> None:
    asked.pop(interest, None)
    asked[interest] = now
