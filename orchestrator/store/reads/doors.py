"""Keys, addresses, and the audit trail."""

from typing import Any, Final

import msgspec

from orchestrator.domain.credential import Credential, Entry
from orchestrator.domain.moments import millis, moment, perhaps
from orchestrator.domain.principal import PathScope, path_scope
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import ALWAYS, Condition, all_of, asked, one_of, within
from orchestrator.store.reads.tasks import refuse_both
from orchestrator.store.reads.values import Listing, Reading, cursor_at, place_of
from orchestrator.store.rows import KEY_COLUMNS, KEY_FIELDS, credential_of
from orchestrator.store.veiling import veiled_data
from worker_client.contract.audit import AuditEntry, ListAudit
from worker_client.contract.enums import Scope
from worker_client.contract.keys import Key, ListKeys

_USED: Final = f"SELECT {KEY_COLUMNS}, k.last_used_at, k.last_used_from FROM api_keys k WHERE k.parent IS NULL"
_WINDOW: Final = 50_000
"""Events that a page of the audit trail looks at: filters have no index, which every event would have to pay for."""
_REVOKED: Final = 1_000
"""Revoked keys that a server can still tell from such as never were."""
_CLOCKS_MS: Final = 3_600_000
"""How far the times of events may lie behind those before them."""
_facts = msgspec.json.Decoder(dict[str, Any]).decode
_names = msgspec.json.Decoder(list[str]).decode


class DoorReads(Reading):
    """Queries for who may come in, and what they did."""

    async def credentials(self) -> list[Credential]:
        """All keys and sessions, and the last that were revoked: once there was a key, a server is not open any more."""
        revoked = "SELECT id FROM api_keys WHERE revoked_at IS NOT NULL ORDER BY revoked_at DESC LIMIT ?"
        query = f"SELECT {KEY_COLUMNS} FROM api_keys k WHERE k.revoked_at IS NULL OR k.id IN ({revoked}) ORDER BY k.id"
        return [credential_of(row) for row in await self._fetch(query, (_REVOKED,))]

    async def keys(self, query: ListKeys, visible: PathScope) -> list[Key]:
        """The keys that reach no further than the asker, oldest first; paging is for the caller: there are not many."""
        live = "" if query.revoked else "AND k.revoked_at IS NULL"
        rows = await self._fetch(f"{_USED} {live} ORDER BY k.created_at, k.id", ())
        return [_used(row) for row in rows if credential_of(row).reach.within(visible)]

    async def key(self, id: str, visible: PathScope) -> Key | None:
        """One key, revoked or not; None when there is none, or it reaches further than the asker."""
        rows = await self._fetch(f"{_USED} AND k.id = ?", (id,))
        return _used(rows[0]) if rows and credential_of(rows[0]).reach.within(visible) else None

    async def addresses(self) -> list[Entry]:
        """Both lists, in order."""
        rows = await self._fetch("SELECT list, network, note, created_at, created_by FROM addresses ORDER BY list, network", ())
        return [
            Entry(list=name, network=network, note=note, created_at=at, created_by=by) for name, network, note, at, by in rows
        ]

    async def audit(self, query: ListAudit, visible: PathScope) -> Listing[AuditEntry]:
        """A page of what was changed, newest first; work paths must be canonical. Raises ValidationFailed for a bad cursor.

        It looks at 50,000 events at the most: a page may have few entries, or none, and yet a `next_cursor`. Nothing is counted
        but what is shown.
        """
        refuse_both(query.cursor, query.offset)
        before = ALWAYS if query.cursor is None else Condition("id < ?", (place_of(query.cursor, "a")[1],))
        where = _matching(query, visible)
        size = query.offset + query.limit + 1 if where == ALWAYS else _WINDOW
        window = Condition(f"(SELECT * FROM events WHERE {before.sql} ORDER BY id DESC LIMIT ?)", (*before.params, size))
        rows = await self._fetch(
            "SELECT e.id, e.at, e.type, e.actor, e.origin, e.task_id, e.path, e.host, e.data, k.name, k.paths"
            f" FROM {window.sql} e LEFT JOIN api_keys k ON k.id = e.actor WHERE {where.sql} ORDER BY e.id DESC LIMIT ? OFFSET ?",
            (*window.params, *where.params, query.limit + 1, query.offset),
        )
        entries = [_entry(row, visible) for row in rows[: query.limit]]
        last = entries[-1].id if len(rows) > query.limit else await self._unseen(window, size, query)
        return Listing(
            items=entries,
            total=query.offset + len(entries),
            total_exact=last is None and before is ALWAYS,
            next_cursor=None if last is None else cursor_at(f"a{last}"),
        )

    async def _unseen(self, window: Condition, size: int, query: ListAudit) -> int | None:
        """The last event that a page looked at, when there may be more that match."""
        ((seen, last, oldest),) = await self._fetch(f"SELECT count(*), min(id), min(at) FROM {window.sql} e", window.params)
        past = query.created_after is not None and seen and oldest < millis(query.created_after) - _CLOCKS_MS
        return None if seen < size or past else last


def key_of(credential: Credential, last_used_at: Millis | None = None, last_used_from: str | None = None) -> Key:
    """A key as the contract shows it."""
    return Key(
        id=credential.id,
        name=credential.name,
        scopes=[Scope(scope) for scope in credential.scopes],
        paths=None if credential.paths is None else list(credential.paths),
        secrets=list(credential.secrets),
        rate=credential.rate,
        created_at=moment(credential.created_at),
        created_by=credential.created_by,
        expires_at=perhaps(credential.expires_at),
        disabled=credential.disabled,
        revoked_at=perhaps(credential.revoked_at),
        last_used_at=perhaps(last_used_at),
        last_used_from=last_used_from,
    )


def _used(row: tuple[Any, ...]) -> Key:
    return key_of(credential_of(row), *row[len(KEY_FIELDS) :])


def _matching(query: ListAudit, visible: PathScope) -> Condition:
    """The events (e) of a query that are visible; what concerns no directory is so only to those who see all of them."""
    parts = [
        one_of(f"e.{column}", wanted)
        for column, wanted in (("actor", query.actor), ("type", query.type), ("task_id", query.task_id))
        if wanted is not None
    ]
    parts += [within(asked(query.work_path, recursive=query.recursive), "e.path"), within(visible.patterns, "e.path")]
    if query.created_after is not None:
        parts.append(Condition("e.at >= ?", (millis(query.created_after),)))
    if query.created_before is not None:
        parts.append(Condition("e.at < ?", (millis(query.created_before),)))
    return all_of(parts)


def _entry(row: tuple[Any, ...], visible: PathScope) -> AuditEntry:
    id_, at, kind, actor, origin, task_id, path, host, data, name, paths = row
    limited = visible.patterns is not None
    known = not limited or (paths is not None and path_scope(_names(paths)).within(visible))
    return AuditEntry(
        id=id_,
        at=moment(at),
        type=kind,
        actor=actor,
        actor_name=name if known else None,
        origin=origin,
        task_id=task_id or None,
        work_directory=path,
        host=host,
        data=_facts(veiled_data(data) if limited else data),
    )
