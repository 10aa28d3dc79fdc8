"""Who asks for work, here and at the other servers: remembered for people, no rule depends on it."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager

from msgspec import Struct, json
from msgspec.structs import replace

from orchestrator.domain.operations import Interest
from orchestrator.domain.paths import ancestors
from orchestrator.domain.secrets import may_use
from orchestrator.domain.task import Millis
from orchestrator.store.protocol import Asker

UNSEEN_MS = 10 * 60_000
"""After so long without a question a worker is forgotten."""
HELD_MS = 80_000
"""No poll is held for so long, even told of late: one of another server is over by then, whether it said so or not."""
REFRESH_MS = 20_000
"""How far behind the others may be with the time when a worker asked."""
_INTERESTS = 16
_TEXT = 16_000_000
"""Characters in all that is asked for; of a single question they may be a hundred thousand."""
_LOOK_MS = 1_000
"""Times are known to the second: who asks in a loop is not written down each time."""


class Present(Struct):
    """A worker that asked: its questions with the time of each, and how many of its polls are held here.

    `elsewhere`: polls of it are held at another server.
    """

    worker_id: str
    account: str | None
    asked: dict[Interest, Millis]
    interest: Interest
    """What it asked for last."""
    seen_at: Millis
    """When it last asked."""
    polls: int = 0
    elsewhere: bool = False

    def __enter__(self) -> None:
        self.polls += 1

    def __exit__(self, *_: object) -> None:
        self.polls -= 1

    @property
    def polling(self) -> bool:
        """Whether it waits for work right now."""
        return self.polls > 0 or self.elsewhere


class _Told(Struct, frozen=True):
    """What servers tell each other of a worker; the last of `asked` is what it asked for last."""

    account: str | None
    asked: list[tuple[Interest, Millis]]
    polling: bool


_encode = json.Encoder().encode
_told = json.Decoder(_Told)


class Presence:
    """The last askers, at most `most`, and `text` characters of what they ask for; the one unseen for longest goes first."""

    def __init__(self, *, most: int = 100_000, text: int = _TEXT) -> None:
        self._most, self._most_text = most, text
        # Of what the workers ask for, and of all that is asked for.
        self._workers_text = self._interests_text = 0
        self._workers: dict[str, Present] = {}
        self._elsewhere: dict[str, Present] = {}
        self._shared: dict[str, tuple[Millis, str | None, tuple[Interest, ...], bool]] = {}
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
        if interest not in worker.asked:
            self._workers_text += _size(interest)
        _refresh(worker.asked, interest, now)
        while len(worker.asked) > _INTERESTS:
            self._workers_text -= _size(oldest := next(iter(worker.asked)))
            del worker.asked[oldest]
        self._workers[worker_id] = worker
        self._asked(interest, now)
        if now - self._looked > _LOOK_MS or not (self._workers_fit and self._interests_fit):
            self._forget(now)

    def _asked(self, interest: Interest, at: Millis) -> None:
        if interest not in self._interests:
            self._interests_text += _size(interest)
            for path in interest.paths:
                self._at.setdefault(path, set()).add(interest)
        _refresh(self._interests, interest, max(at, self._interests.get(interest, 0)))

    def asking(self, worker_id: str, interest: Interest, account: str | None, now: Millis) -> AbstractContextManager[None]:
        """A worker asks, and is there for as long as its call is held."""
        self.seen(worker_id, interest, account, now)
        return self._workers[worker_id]

    def list(self, now: Millis | None = None) -> list[Present]:
        """All workers that asked lately, by id."""
        self._forget(now)
        oldest = 0 if now is None else now - UNSEEN_MS
        found = dict(self._workers)
        for worker_id, other in self._elsewhere.items():
            if other.seen_at >= oldest:
                found[worker_id] = _merged(found.get(worker_id), other)
        return sorted(found.values(), key=lambda worker: worker.worker_id)

    def states(self, now: Millis) -> dict[str, int]:
        """How many workers asked lately, by whether they ask right now."""
        here, oldest = self._workers, now - UNSEEN_MS
        there = (other for name, other in self._elsewhere.items() if name not in here)
        polling = [worker.polling for worker in (*here.values(), *there) if worker.polls or worker.seen_at >= oldest]
        return {"asking": sum(polling), "busy": len(polling) - sum(polling)}

    def visits(self, path: str, host: str, now: Millis) -> bool:
        """Whether some worker asked lately for work in a directory, of whatever kind."""
        oldest = now - UNSEEN_MS
        return any(
            (above == path or interest.recursive)
            and (not host or not interest.host or interest.host == host)
            and interest.principal.paths.covers(path)
            and self._interests[interest] >= oldest
            for above in ancestors(path)
            for interest in self._at.get(above, ())
        )

    def asks_for(
        self,
        path: str,
        host: str,
        kind: str,
        tags: Collection[str],
        now: Millis | None = None,
        *,
        agent: str = "",
        secrets: str = "",
    ) -> bool:
        """Whether some worker asked lately for what such a task is, and may use its secrets; `host` empty: on any host."""
        self._forget(now)
        oldest = 0 if now is None else now - UNSEEN_MS
        return any(
            (above == path or interest.recursive)
            and interest.takes(kind, host, agent)
            and interest.tags.issubset(tags)
            and interest.principal.paths.covers(path)
            and may_use(secrets, interest.principal)
            # What others tell comes late, and then stands among what is younger.
            and self._interests[interest] >= oldest
            for above in ancestors(path)
            for interest in self._at.get(above, ())
        )

    def accounts(
        self, path: str, host: str, kind: str, tags: Collection[str], now: Millis, *, agent: str = ""
    ) -> set[tuple[str, str | None]]:
        """The accounts (None: it has none) of those that asked lately for what such a task is, each with its path scope."""
        above, oldest = set(ancestors(path)), now - UNSEEN_MS
        return {
            (interest.principal.paths.key, worker.account)
            for worker in self.list(now)
            for interest, at in worker.asked.items()
            if at >= oldest
            and (path in interest.paths or (interest.recursive and not above.isdisjoint(interest.paths)))
            and interest.takes(kind, host, agent)
            and interest.tags.issubset(tags)
            and interest.principal.paths.covers(path)
        }

    def _forget(self, now: Millis | None) -> None:
        self._looked = self._looked if now is None else now
        oldest = 0 if now is None else now - UNSEEN_MS
        while self._workers:
            worker = next(iter(self._workers.values()))
            if self._workers_fit and worker.seen_at >= oldest:
                break
            self._workers_text -= sum(map(_size, worker.asked))
            del self._workers[worker.worker_id]
        while self._interests:
            interest, seen_at = next(iter(self._interests.items()))
            if self._interests_fit and seen_at >= oldest:
                break
            self._interests_text -= _size(interest)
            del self._interests[interest]
            for path in set(interest.paths):
                self._at[path].discard(interest)
                if not self._at[path]:
                    del self._at[path]

    @property
    def _workers_fit(self) -> bool:
        # Who asks right now is not forgotten.
        return len(self._workers) <= self._most and (self._workers_text <= self._most_text or len(self._workers) == 1)

    @property
    def _interests_fit(self) -> bool:
        return len(self._interests) <= self._most and self._interests_text <= self._most_text

    # Several servers on one database

    def news(self) -> Sequence[Asker]:
        """What the other servers do not know yet of those who ask here; take it as told."""
        news = []
        self._shared = {worker_id: told for worker_id, told in self._shared.items() if worker_id in self._workers}
        for worker in self._workers.values():
            now = (worker.seen_at, worker.account, tuple(worker.asked), worker.polls > 0)
            told = self._shared.get(worker.worker_id)
            if told is None or now[1:] != told[1:] or now[0] - told[0] >= REFRESH_MS:
                self._shared[worker.worker_id] = now
                said = _Told(worker.account, list(worker.asked.items()), worker.polls > 0)
                news.append(Asker(worker.worker_id, worker.seen_at, _encode(said).decode()))
        return news

    def untold(self) -> None:
        """What `news` said did not reach the others: the next says it again."""
        self._shared.clear()

    def heard(self, askers: Iterable[Asker], now: Millis) -> None:
        """What the other servers know of those who asked there lately; of a worker there may be several."""
        for worker in self._elsewhere.values():
            worker.elsewhere = False
        found: dict[str, Present] = {}
        for asker in sorted(askers, key=lambda one: one.seen_at):
            told = _told.decode(asker.present)
            held = told.polling and now - asker.seen_at < HELD_MS
            asked, last = dict(told.asked), told.asked[-1][0]
            other = Present(asker.worker_id, told.account, asked, last, asker.seen_at, elsewhere=held)
            found[asker.worker_id] = _merged(found.get(asker.worker_id), other)
            for interest, at in told.asked:
                self._asked(interest, at)
        self._elsewhere |= found
        oldest = now - UNSEEN_MS
        self._elsewhere = {worker_id: one for worker_id, one in self._elsewhere.items() if one.seen_at >= oldest}


def _merged(one: Present | None, other: Present) -> Present:
    if one is None:
        return other
    older, newer = sorted((one, other), key=lambda worker: worker.seen_at)
    held = one.elsewhere or other.elsewhere
    return replace(newer, asked=older.asked | newer.asked, polls=one.polls, elsewhere=held)


def _size(interest: Interest) -> int:
    return sum(map(len, (*interest.paths, *interest.kinds, *interest.tags, interest.agent)))


def _refresh(asked: dict[Interest, Millis], interest: Interest, now: Millis) -> None:
    asked.pop(interest, None)
    asked[interest] = now
