"""honker's extension within SQLite, as its documentation has it for clients of one's own: enqueue, claim_batch of one, ack.

The word before the file is SQLite's `synchronous`; its own `open` says normal. Threads share one connection that writes, as in
there: sixteen processes with one each were half as fast.
"""

import json
import sys
import threading
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite3

from benchmarks.peers.together import arguments, share, tell, threads

EXTENSION = Path(sys.prefix) / "honker" / "honker" / "_lib" / "libhonker_ext.so"
BODY = '{"prompt": "Make the tests pass."}'
LEASE_S = 300


class Writer:
    """The one connection."""

    def __init__(self, file: str, synchronous: str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.enable_load_extension(True)  # noqa: FBT003 - it is the driver's
        self._connection.execute("SELECT load_extension(?, 'sqlite3_honkerext_init')", (str(EXTENSION),))
        self._connection.execute("SELECT honker_bootstrap()")

    def ask(self, query: str, *params: object) -> str:
        """What a function brings, in a transaction of its own."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            ((found,),) = self._connection.execute(query, params).fetchall()
            self._connection.execute("COMMIT")
        return str(found)


def main() -> None:
    where, count, at_once = arguments()
    synchronous, _, file = where.partition(":")
    writer = Writer(file, synchronous)
    done: list[int] = []

    def enqueue(number: int) -> None:
        for _ in range(share(count, at_once, number)):
            writer.ask("SELECT honker_enqueue('nothing', ?, NULL, NULL, 0, 3, NULL)", BODY)

    def work(number: int) -> None:
        name = f"bench-{number}"
        while jobs := json.loads(writer.ask("SELECT honker_claim_batch('nothing', ?, 1, ?)", name, LEASE_S)):
            done.append(int(writer.ask("SELECT honker_ack(?, ?)", jobs[0]["id"], name)))

    seconds = threads(at_once, enqueue), threads(at_once, work)
    if sum(done) != count:
        raise SystemExit(f"honker did {sum(done)} of {count} jobs")
    tell(*seconds)


main()
