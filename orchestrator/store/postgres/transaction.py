"""A transaction that fetches in a few goes what a batch says it needs, and keeps the order of all servers."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from orchestrator.domain.holders import Account, Drain
from orchestrator.domain.needs import Needs
from orchestrator.domain.operations import Claim
from orchestrator.domain.paths import span
from orchestrator.domain.source import Place, Settings, Stream
from orchestrator.domain.task import Head, Millis, Outputs
from orchestrator.store.clock import steady_ms
from orchestrator.store.postgres.session import PostgresSession
from orchestrator.store.postgres.standing import Search, Standing
from orchestrator.store.postgres.timing import JUMP_MS
from orchestrator.store.protocol import FeedEvent
from orchestrator.store.rows import Row, account_of, drain_of, head_of, outputs_of, settings_of
from orchestrator.store.session import StaleRowError
from orchestrator.store.transaction import AHEAD, Transaction

CLAIMS: Final = 1
FEED: Final = 2
_LOCK: Final = 0x6F72_6368_0000_0000
_FEW: Final = 32
"""Streams of which a page is fetched ahead; of each of more than that only the first tasks."""
_NOTIFIED: Final = 500
"""Ids of tasks in one notification, which may be 8,000 bytes long."""

_PLACE: Final = ("path", "kind", "host", "agent", "rank", "id")
_LOWEST: Final = (-(2**63), 0)

Clock = tuple[Callable[[Millis, Millis, Millis], Millis], Callable[[Millis], tuple[Millis, Millis]], Callable[[Millis], Millis]]


class PostgresTransaction(Transaction):
    """`clock` says how far ahead of the database's time to be, that time and how far it jumped, and the wall's.

    `careful`: tasks that somebody else has locked are left out, as one of them was met before.
    """

    _session: PostgresSession

    def __init__(
        self, session: PostgresSession, queries: Mapping[str, str], clock: Clock, standing: Standing, *, careful: bool
    ) -> None:
        super().__init__(session, queries, 0, 0)
        self._ahead, self._heard, self._read = clock
        self._alive_at: Millis = 0
        self._asked_at: tuple[Millis, Millis] = (0, 0)
        self.xid: str | None = None
        self._edges: dict[int, list[int]] = {}
        self._keys: dict[tuple[str, str], tuple[int, str] | None] = {}
        self._outputs: dict[int, Outputs] = {}
        self._positions: dict[tuple[int, int], tuple[int, int]] = {}
        self._polls: dict[str, list[Head]] = {}
        self._set: Settings | None = None
        self._streams: dict[tuple[str, bool], list[Stream]] = {}
        self._pages: dict[Stream, tuple[list[Head], bool]] = {}
        self._leases: dict[tuple[str, str], tuple[bool, bool, bool | None]] = {}
        self._quotas: dict[tuple[str, str], Account | None] = {}
        self._told: list[Drain] | None = None
        self._claiming = False
        self._standing = standing
        self._page = "pages_free" if careful else "pages"
        self._timely = False
        self._times: Row | None = None
        self._search: Search | None = None
        self._xid: Callable[[], list[Row]] | None = None

    def _lock(self, number: int, name: str) -> None:
        self._ask(name, _LOCK + number)

    # Before anything is decided

    def expect(self, needs: Needs) -> None:
        """Lock and load what may be changed: tasks in the order of their ids, then the parents of new ones."""
        steady = steady_ms()
        clock = self._ask("clock")
        self._timely = needs.timely
        heads = self._ask("heads", needs.heads) if needs.heads else list
        parents = self._ask("parents_kept", needs.parents) if needs.parents else list
        if needs.settings:
            self._hold_claims()
        edges = self._ask("open_edges", needs.ending) if needs.ending else list
        keys = self._ask("keys_among", _objects(("scope", "key"), needs.keys)) if needs.keys else list
        outputs = self._ask("outputs_among", needs.outputs) if needs.outputs else list
        positions = self._ask("positions_among", _objects(("task_id", "lease_no"), needs.positions)) if needs.positions else list
        settings = self._ask("settings") if needs.ending or needs.beats else None
        drains = self._ask("drains") if needs.beats else None
        reserved = self._session.reserve(needs.created) if needs.created else lambda: None
        at, ahead = self._agreed(*clock()[0])
        self._asked_at = steady, at
        self.now, self.jump_ms = self._heard(at + ahead)
        self.wall = self._read(at)
        for row in [*heads(), *parents()]:
            self._loaded.setdefault(row[0], head_of(row))
        self._edges = {parent: [] for parent in needs.ending}
        for parent, child in edges():
            self._edges[parent].append(child)
        self._keys = dict.fromkeys(needs.keys)
        self._keys |= {(scope, key): (task_id, digest) for scope, key, task_id, digest in keys()}
        self._outputs = dict.fromkeys(needs.outputs, Outputs())
        self._outputs |= {row[0]: outputs_of(row[1:]) for row in outputs()}
        self._positions = {(task_id, lease_no): (number, line) for task_id, lease_no, number, line in positions()}
        self._set = None if settings is None else settings_of(settings())
        self._told = None if drains is None else [drain_of(row) for row in drains()]
        reserved()

    def _agreed(self, at: Millis, alive_at: str, ahead: str) -> tuple[Millis, Millis]:
        """What the clock says, and how far ahead of it the servers are; of several that find it set, the first one says."""
        self._alive_at = int(alive_at)
        agreed = self._ahead(at, self._alive_at, int(ahead))
        if agreed != int(ahead):
            self._fetch("get_meta", AHEAD)
            ((at, alive_at, ahead),) = self._fetch("clock")
            self._alive_at = int(alive_at)
            agreed = self._ahead(at, self._alive_at, int(ahead))
            self._ask("set_meta", AHEAD, str(agreed))
        return at, agreed

    def open_edges(self, parents: Iterable[int]) -> list[tuple[int, int]]:
        """(parent, child) of the unsatisfied edges of these parents."""
        wanted = list(parents)
        known = [(parent, child) for parent in wanted for child in self._edges.get(parent, ())]
        missing = [parent for parent in wanted if parent not in self._edges]
        return known + super().open_edges(missing) if missing else known

    def key(self, scope: str, key: str) -> tuple[int, str] | None:
        """The task and body digest that an idempotency key stands for."""
        return self._keys[scope, key] if (scope, key) in self._keys else super().key(scope, key)

    def outputs(self, task_id: int) -> Outputs:
        """The outputs of a task."""
        return self._outputs[task_id] if task_id in self._outputs else super().outputs(task_id)

    def log_position(self, task_id: int, lease_no: int) -> tuple[int, int]:
        """The last stored numbers: of the task's lines, of the lease's."""
        return self._positions.get((task_id, lease_no)) or super().log_position(task_id, lease_no)

    # Before claims are decided

    def _hold_claims(self) -> None:
        if not self._claiming:
            self._claiming = True
            self._lock(CLAIMS, "claim_lock")

    def expect_claims(self, needs: Needs) -> None:
        """Wait for the claims of other servers, then load what the batch's claims look at, in two goes."""
        self._hold_claims()
        clock = self._ask("clock")
        claims = [submission.op for submission in needs.claims if isinstance(submission.op, Claim)]
        at = sorted({path for op in claims for path in op.interest.paths})
        below = sorted({path for op in claims if op.interest.recursive for path in op.interest.paths})
        settings = self._ask("settings")
        delivered = self._ask("delivered_among", needs.polls) if needs.polls else list
        accounts = self._ask("accounts_among", _objects(("scope", "account"), needs.accounts)) if needs.accounts else list
        drains = self._ask("drains") if self._told is None else None
        streams_at = self._ask("streams_among", at)
        streams_below = {path: self._ask("streams_below", *span(path)) for path in below}
        self._set = settings_of(settings())
        self._refuse_another_time(clock()[0][0])
        self._told = self._told if drains is None else [drain_of(row) for row in drains()]
        self._quotas = dict.fromkeys(needs.accounts)
        self._quotas |= {(row[0], row[1]): account_of(row) for row in accounts()}
        self._polls = {poll: [] for poll in needs.polls}
        for row in delivered():
            head = self._loaded.setdefault(row[0], head_of(row))
            self._polls[head.poll_key or ""].append(head)
        self._streams = {(path, False): [] for path in at}
        for path, *stream in streams_at():
            self._streams[path, False].append(self._first(path, *stream))
        for path, rows in streams_below.items():
            self._streams[path, True] = [*self._streams[path, False], *(self._first(*row) for row in rows())]
        self._expect_streams(claims)

    def _refuse_another_time(self, at: Millis) -> None:
        """Leases that begin at a time from before the clock was set forward would not get what others gave back then."""
        steady, asked = self._asked_at
        if at - asked > steady_ms() - steady + JUMP_MS:
            raise StaleRowError("the database's clock was set forward while the claims of others were waited for")

    def _first(self, path: str, kind: str, host: str, agent: str, rank: int, task_id: int) -> Stream:
        stream = path, kind, host, agent
        self._firsts[stream] = rank, task_id
        return stream

    def _expect_streams(self, claims: list[Claim]) -> None:
        """The first tasks of what is asked for, and the leases around them."""
        asked: set[Stream] = set()
        around: dict[tuple[str, str], bool] = {}
        for op in claims:
            wanted = op.interest
            for path in wanted.paths:
                for stream in self._streams[path, wanted.recursive]:
                    if wanted.takes(*stream[1:]):
                        asked.add(stream)
                        place = stream[0], wanted.host
                        around[place] = wanted.exclusive or around.get(place, False)
        if not asked:
            return
        most = min(64, sum(op.limit for op in claims)) if len(asked) <= _FEW else 1
        pages = self._ask(self._page, _objects(_PLACE, ((*stream, *self._firsts[stream]) for stream in asked)), most)
        leases = self._ask("leases_among", json.dumps([_around(*place, every=every) for place, every in around.items()]))
        found: dict[Stream, list[Head]] = {stream: [] for stream in asked}
        for row in pages():
            head = self._loaded.setdefault(row[0], head_of(row))
            found[head.path, head.kind, head.host, head.agent].append(head)
        self._pages = {stream: (heads, len(heads) < most) for stream, heads in found.items()}
        self._leases = {(path, host): (owned, exclusive, leased) for path, host, owned, exclusive, leased in leases()}

    def settings(self) -> Settings:
        """The directories that are paused, limited or have a budget."""
        return super().settings() if self._set is None else self._set

    def account(self, scope: str, account: str) -> Account | None:
        """An account, as those of a path scope know it."""
        return self._quotas[scope, account] if (scope, account) in self._quotas else super().account(scope, account)

    def drains(self) -> list[Drain]:
        """The workers that were told to drain."""
        return super().drains() if self._told is None else self._told

    def delivered(self, poll_key: str) -> list[Head]:
        """Live leases of one poll."""
        return self._polls[poll_key] if poll_key in self._polls else super().delivered(poll_key)

    def streams(self, path: str, *, recursive: bool) -> dict[Stream, Place]:
        """In which streams tasks wait, and the place of the first one in each."""
        known = self._streams.get((path, recursive))
        if known is not None:
            return {stream: self._firsts[stream] for stream in known}
        rows = self._fetch("streams_among", [path]) + (self._fetch("streams_below", *span(path)) if recursive else [])
        return {(at, kind, host, agent): (rank, task_id) for at, kind, host, agent, rank, task_id in rows}

    def stream(self, stream: Stream, after: Place | None, limit: int) -> tuple[list[Head], bool]:
        """The waiting tasks of a stream in order, and whether these are the last."""
        if after is None and stream in self._pages:
            return self._pages[stream]
        if after is None:
            rows = self._fetch(self._page, _objects(_PLACE, [(*stream, *self._firsts.get(stream, _LOWEST))]), limit)
        else:
            rows = self._fetch("page_after", *stream, *after, limit)
        return [self._loaded.setdefault(row[0], head_of(row)) for row in rows], len(rows) < limit

    def leased(self, path: str, host: str, *, exclusive_only: bool) -> bool:
        """Whether a lease on, above or below a path is live on the host."""
        _, exclusive, leased = self._leases.get((path, host), (None, None, None))
        known = exclusive if exclusive_only else leased
        return super().leased(path, host, exclusive_only=exclusive_only) if known is None else known

    def owned(self, path: str, host: str) -> bool:
        """Whether an exclusive lease on or above a path is live on the host."""
        facts = self._leases.get((path, host))
        return super().owned(path, host) if facts is None else facts[0]

    # Leases that are given time back

    def alive_at(self) -> Millis:
        """When a server last told that it is alive; until the commit no other one tells it, nor gives any leases."""
        self._hold_claims()
        return super().alive_at()

    # The end

    def due(self, now: Millis, limit: int) -> list[Head]:
        """Scheduled and parked tasks whose time has come."""
        return self._heads("due", self._standing.floor, now, limit) + self._heads("held", now, limit)

    def expired(self, now: Millis, limit: int) -> list[Head]:
        """Leases whose time is over."""
        return self._heads("expired", self._standing.floor, now, limit)

    def conclude(self) -> None:
        """All is flushed: ask what has to be known before the commit."""
        if self._timely:
            self._search = self._standing.begin()
            self._due = self._ask("next_due", self._search.floor)
        if self.wrote:
            self._xid = self._ask("transaction_id")

    def settle(self) -> None:
        """Wait until all is flushed for certain. Raises StaleRowError."""
        self._times = self._due()[0] if self._timely else None
        self.xid = None if self._xid is None else self._xid()[0][0]
        self._session.settle()

    def next_due(self) -> tuple[Millis | None, bool, Millis | None]:
        """When the next task or lease is due as far as is known: to be asked once the transaction is committed."""
        if self._times is not None and self._search is not None:
            self._standing.looked(self._search, self.now, *self._times)
            self._search = None
        self._standing.saved(self.saved.values(), self.held, self.fires)
        return self._standing.due, self._standing.leases, self._standing.fires

    def there(self, row: Callable[..., Row]) -> bool | None:
        """Whether what it wrote is there, once it is said to be committed; None when that cannot be told.

        A crash can lose all trace of a transaction that was not committed; the next one to come then gets its number.
        """
        if self._late.events:
            return bool(row("told", *self._late.events[0][:3])[0])
        for head in filter(None, self.saved.values()):
            version, updated_at = row("revised", head.id)
            if version is not None and version <= head.version:
                return bool((version, updated_at) == (head.version, head.updated_at))
        return None

    def abandon(self) -> None:
        """The transaction came to nothing."""
        if self._search is not None:
            self._standing.forget(self._search)

    def tell_alive(self, every: Millis) -> None:
        """Tell that a server is alive, unless that has been told within the last `every` ms, or is being told."""
        if self.now - self._alive_at > every:
            self.wrote = True
            self._ask("alive", str(self.now), self.now - every)

    def finish(self) -> Callable[[], list[FeedEvent]]:
        """Write what is written last, one server after the other, and tell the others."""
        if not self._late.empty:
            self._lock(FEED, "feed_lock")
        events = super().finish()
        if self._late.events:
            self._ask("notify", "")
        logged = sorted(self._late.logged)
        for first in range(0, len(logged), _NOTIFIED):
            self._ask("notify", ",".join(map(str, logged[first : first + _NOTIFIED])))
        return events


def _objects(names: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    return json.dumps([dict(zip(names, row, strict=True)) for row in rows])


def _around(path: str, host: str, *, every: bool) -> dict[str, Any]:
    low, high = span(path)
    return {"path": path, "host": host, "low": low, "high": high, "any": every}
