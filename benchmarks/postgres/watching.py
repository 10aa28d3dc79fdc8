"""What limits: the processor time of each kind of process, and what the writing backends wait for."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psutil
import psycopg
from msgspec import Struct, field

from benchmarks import machine
from benchmarks.postgres.cluster import Cluster
from orchestrator.store.postgres.engine import SERVED

SERVERS: Final = "python servers"
BACKENDS: Final = "postgres backends"
OTHERS: Final = "other postgres"
CLIENTS: Final = "our clients"
KINDS: Final = (SERVERS, BACKENDS, OTHERS, CLIENTS)
IDLE: Final = "idle"
NOTHING: Final = "runs"
ADVISORY: Final = "Lock: advisory"
PAUSE_S: Final = 0.01

# Each server's writing connection holds this lock all the time: no other connection does.
_WRITERS: Final = """SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s"""
_WAITS: Final = "SELECT state, wait_event_type, wait_event FROM pg_stat_activity WHERE pid = ANY(%s)"
_BACKENDS: Final = """SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'task-orchestrator%'"""
_TRANSACTIONS: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


class Seen(Struct):
    """`cpu`: seconds by kind of process; `free`: idle parts of the machine's cores; `waits`: samples of writing backends."""

    cpu: dict[str, float] = field(default_factory=dict)
    free: float = 0.0
    transactions: int = 0
    samples: int = 0
    blocked: int = 0
    writers: int = 0
    waits: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Seen") -> None:
        """Count another's, too; `free` becomes that of the last."""
        self.cpu = {kind: self.cpu.get(kind, 0.0) + seconds for kind, seconds in other.cpu.items()}
        self.free, self.writers = other.free, other.writers
        self.transactions += other.transactions
        self.samples += other.samples
        self.blocked += other.blocked
        self.waits += other.waits

    def waiting(self, event: str = ADVISORY) -> float:
        """The part of all samples of all writing backends that waits for this."""
        return self.waits[event] / max(1, self.waits.total())


def _sample(connection: "psycopg.Connection[tuple[str, str | None, str | None]]", writers: list[int], seen: Seen) -> None:
    rows = connection.execute(_WAITS, [writers]).fetchall()
    found = [IDLE if state == "idle" else f"{kind}: {event}" if kind else NOTHING for state, kind, event in rows]
    seen.samples += 1
    seen.blocked += ADVISORY in found
    seen.waits.update(found)


def _watch(url: str, seen: Seen, end: threading.Event) -> None:
    with psycopg.connect(url, autocommit=True, application_name="watching") as connection:
        halves = divmod(SERVED, 2**32)
        writers = [pid for (pid,) in connection.execute(_WRITERS, halves).fetchall()]
        seen.writers = len(writers)
        while not end.wait(PAUSE_S):
            # What a session has seen there stays the same within its transaction only: each look is one of its own.
            _sample(connection, writers, seen)


def _used(pids: Sequence[int]) -> dict[int, float]:
    return {pid: machine.cpu_seconds([pid]) for pid in pids}


@contextmanager
def watched(cluster: Cluster, url: str, servers: Sequence[int]) -> Iterator[Seen]:
    """What happens meanwhile; `servers`: the process ids of those that are driven, on the database at `url`."""
    seen, end = Seen(), threading.Event()
    thread = threading.Thread(target=_watch, args=(url, seen, end))
    family = [pid for server in servers for pid in machine.family(server)]
    transactions = cluster.ask(_TRANSACTIONS)[0][0]
    before, core, ours = _used([*family, *cluster.processes()]), psutil.cpu_times(), time.process_time()
    thread.start()
    try:
        yield seen
    finally:
        own, now = time.process_time() - ours, psutil.cpu_times()
        backends = {pid for (pid,) in cluster.ask(_BACKENDS, url)} & set(cluster.processes())
        after = _used([*family, *cluster.processes()])
        end.set()
        thread.join()
    used = {pid: seconds - before.get(pid, 0.0) for pid, seconds in after.items()}
    kinds = {pid: SERVERS if pid in family else BACKENDS if pid in backends else OTHERS for pid in used}
    seen.cpu = {kind: sum(used[pid] for pid in used if kinds[pid] == kind) for kind in KINDS} | {CLIENTS: own}
    seen.free = (now.idle - core.idle) / max(0.01, sum(now) - sum(core))
    seen.transactions = cluster.ask(_TRANSACTIONS)[0][0] - transactions


def part(value: float) -> str:
    """A part of one, in percent."""
    return f"{100 * value:.0f} %"
