"""Copying one database to another: rows in batches, each with the place reached; then both are read and compared."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.store.copying.end import End
from orchestrator.store.copying.tables import KEYS, Checksum, encoded, mended
from orchestrator.store.copying.unfinished import COPYING, Source, State, state_of
from orchestrator.store.schema import MIGRATED_BY
from orchestrator.store.sqlite.restoring import BACKUP
from orchestrator.store.transaction import AHEAD, ALIVE_AT
from worker_client.errors import Conflict

EPOCH: Final = "epoch"
COPIED: Final = "copied"
"""The key in `meta` that says which database this one was copied from."""
BATCH_ROWS: Final = 2_000
BATCH_BYTES: Final = 4 * 1024 * 1024
_OWN: Final = (AHEAD, EPOCH, COPYING, COPIED, MIGRATED_BY)
"""What `meta` says about one database, and not about its tasks."""

Tell = Callable[[str, str, int], None]
"""Hears what is done ("copying", "comparing"), in which table, and for how many further rows."""


class Compared(Struct, frozen=True):
    """A table in both databases; `mended`: rows in which the copy has another character for NUL."""

    table: str
    rows: int
    checksum: str
    rows_there: int
    checksum_there: str
    mended: int

    @property
    def ok(self) -> bool:
        """Whether the copy is one."""
        return (self.rows, self.checksum) == (self.rows_there, self.checksum_there)


class Copy:
    """From `source` to `target`; call begin, rows, compare and conclude in turn. `tell` hears of the progress."""

    def __init__(self, source: End, target: End, tell: Tell = lambda *_: None, *, batch_rows: int = BATCH_ROWS) -> None:
        self._source = source
        self._target = target
        self._tell = tell
        self._batch_rows = batch_rows
        self._columns = {table: source.columns(table) for table in KEYS}

    def begin(self) -> State:
        """Find an empty target, or how far the same copy had come. Raises Conflict."""
        self._same_columns()
        meta, there = self._source.meta(), self._target.meta()
        if COPYING in meta:
            raise Conflict(f"{self._source.shown} is itself an unfinished copy of {state_of(meta[COPYING]).source.shown}")
        if BACKUP in meta:
            raise Conflict(f"{self._source.shown} is a backup that was never served: serve it once, stop that, then copy it")
        source = Source(
            shown=self._source.shown,
            epoch=meta.get(EPOCH, ""),
            alive_at=meta.get(ALIVE_AT, ""),
            last_ids=self._source.last_ids(),
        )
        if COPYING in there:
            self._state = state_of(there[COPYING])
            self._same_source(self._state.source, source)
            for table, count in self._state.rows.items():
                self._tell("copying", table, count)
        else:
            self._nothing_there(source, there.get(COPIED))
            self._state = State(source=source, table=next(iter(KEYS)))
            self._target.put(next(iter(KEYS)), self._columns[next(iter(KEYS))], [], {COPYING: self._state.encoded()})
        self._meta = {key: value for key, value in meta.items() if key not in _OWN}
        return self._state

    def _same_columns(self) -> None:
        for table, columns in self._columns.items():
            there = self._target.columns(table)
            if missing := sorted(set(there) - set(columns)):
                raise Conflict(
                    f"{self._source.shown} is of an older version, {table} has no {', '.join(missing)}: bring it up to date "
                    "with `orchestrator migrate --database URL`, then copy again"
                )
            if unknown := sorted(set(columns) - set(there)):
                raise Conflict(
                    f"{self._source.shown} is of a newer version, {table} has {', '.join(unknown)}: copy it with that version"
                )

    def _same_source(self, begun: Source, source: Source) -> None:
        if (begun.shown, begun.epoch) != (source.shown, source.epoch):
            raise Conflict(
                f"{self._target.shown} holds an unfinished copy of {begun.shown}: finish that one, or name an empty database"
            )
        if begun != source:
            raise Conflict(
                f"{source.shown} has been served since this copy of it was begun, and what was copied is old: "
                f"begin again with an empty database in place of {self._target.shown}"
            )

    def _nothing_there(self, source: Source, copied: str | None) -> None:
        held = ", ".join(f"{count} {table}" for table, count in self._target.counts().items() if count)
        if not held:
            return
        if copied is not None and msgspec.json.decode(copied, type=Source).epoch == source.epoch:
            raise Conflict(f"{self._target.shown} holds a copy of {source.shown} that is finished ({held}): it can be served")
        raise Conflict(f"{self._target.shown} is not empty, it holds {held}: name an empty database")

    # Copying

    def rows(self) -> None:
        """Copy what is not there yet."""
        tables = list(KEYS)
        while (table := self._state.table) is not None:
            for batch in self._batches(table):
                self._target.put(table, self._columns[table], batch, {COPYING: self._state.encoded()})
                self._tell("copying", table, len(batch))
            later = tables[tables.index(table) + 1 :]
            self._state.table, self._state.after = next(iter(later), None), None
        self._target.put(tables[0], self._columns[tables[0]], [], {COPYING: self._state.encoded()})

    def _batches(self, table: str) -> Iterator[list[Sequence[Any]]]:
        """Rows to be written together; the state is then that of after it."""
        at = [self._columns[table].index(name) for name in KEYS[table]]
        batch: list[Sequence[Any]] = []
        size = changed = 0
        last: tuple[Any, ...] | None = None
        for row in chain(self._source.rows(table, self._columns[table], self._state.after), [None]):
            if last is not None and (row is None or len(batch) >= self._batch_rows or size >= BATCH_BYTES):
                self._state.after = [last[position] for position in at]
                self._state.rows[table] = self._state.rows.get(table, 0) + len(batch)
                self._state.mended[table] = self._state.mended.get(table, 0) + changed
                yield batch
                batch, size, changed = [], 0, 0
            if row is not None:
                text = encoded(row)
                fit = self._fit(row, text)
                changed += fit is not row
                size += len(text)
                batch.append(fit)
            last = row

    def _fit(self, row: Sequence[Any], text: bytes) -> Sequence[Any]:
        return row if self._target.holds_nul else mended(row, text)

    # Comparing

    def compare(self) -> list[Compared]:
        """Read all rows of both, and compare how many they are and their checksums."""
        return [self._compared(table) for table in KEYS]

    def _compared(self, table: str) -> Compared:
        here, there = (self._sum(end, table) for end in (self._source, self._target))
        return Compared(table, here.rows, str(here), there.rows, str(there), self._state.mended.get(table, 0))

    def _sum(self, end: End, table: str) -> Checksum:
        found = Checksum()
        for row in end.rows(table, self._columns[table]):
            text = encoded(row)
            fit = self._fit(row, text)
            found.add(text if fit is row else encoded(fit))
            if not found.rows % self._batch_rows:
                self._tell("comparing", table, self._batch_rows)
        self._tell("comparing", table, found.rows % self._batch_rows)
        return found

    def conclude(self) -> str:
        """Let the copy be served, and return its epoch: readers of the source's feed begin anew, ids go on."""
        epoch = secrets.token_hex(6)
        copied = msgspec.json.encode(self._state.source).decode()
        self._target.conclude({**self._meta, EPOCH: epoch, COPIED: copied}, self._state.source.last_ids)
        return epoch
