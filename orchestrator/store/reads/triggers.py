"""Deployed workflows, their triggers, and what reached these."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.domain.holders import reach
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import PathScope
from orchestrator.domain.records import Delivery
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import ALWAYS, Condition, all_of
from orchestrator.store.reads.tasks import refuse_both
from orchestrator.store.reads.values import COUNTED, Listing, Reading, cursor_at, place_of, total_of
from orchestrator.store.rows import RECORD_COLUMNS, record_of
from worker_client.contract import triggers as contract
from worker_client.contract.enums import DeliveryOutcome
from worker_client.contract.fields import JsonObject

_WORKFLOWS: Final = (
    "SELECT w.id, w.name, w.latest, w.deployed, w.deployed_at, v.definition, w.paths FROM workflows w"
    " JOIN workflow_versions v ON v.workflow_id = w.id AND v.number = coalesce(w.deployed, w.latest)"
)
_DELIVERIES: Final = f"SELECT {RECORD_COLUMNS['deliveries']} FROM deliveries r"


class _Triggers(Struct):
    triggers: list[JsonObject] = []


_names: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_triggers: Final = msgspec.json.Decoder(_Triggers).decode
_facts: Final = msgspec.json.Decoder(Any).decode


class Triggered(Struct, frozen=True, kw_only=True):
    """A workflow with the triggers of its deployed version, or of its latest one while none is; as they are stored."""

    workflow_id: str
    name: str
    latest: int
    number: int | None
    deployed_at: Millis | None
    triggers: list[JsonObject]
    reach: PathScope


class TriggerReads(Reading):
    """Queries for what starts runs."""

    async def triggered(self, workflow_id: str, visible: PathScope) -> Triggered | None:
        """A workflow; None when there is none, or it reaches further than who asks."""
        rows = await self._fetch(f"{_WORKFLOWS} WHERE w.id = ?", (workflow_id,))
        found = _workflow(rows[0]) if rows else None
        return found if found is not None and found.reach.within(visible) else None

    async def triggers_of(self, workflow_id: str, number: int | None, visible: PathScope) -> list[JsonObject]:
        """The triggers of a version (None: the latest) as they are stored; none when there is no such, or not for who asks."""
        query = (
            "SELECT v.definition, w.paths FROM workflows w JOIN workflow_versions v ON v.workflow_id = w.id"
            " WHERE w.id = ? AND v.number = coalesce(?, w.latest)"
        )
        rows = await self._fetch(query, (workflow_id, number))
        return [
            one
            for definition, paths in rows
            if reach(None if paths is None else _names(paths)).within(visible)
            for one in _triggers(definition).triggers
        ]

    async def triggered_by(self, type: str) -> list[Triggered]:
        """The deployed workflows that have a trigger of a type that is on."""
        query = f"{_WORKFLOWS} WHERE w.id IN (SELECT s.workflow_id FROM trigger_states s WHERE s.type = ?) ORDER BY w.id"
        return [_workflow(row) for row in await self._fetch(query, (type,))]

    async def deployments(self, visible: PathScope) -> list[Triggered]:
        """All deployed workflows, by name; paging is for the caller, who may see but some of them."""
        rows = await self._fetch(f"{_WORKFLOWS} WHERE w.deployed IS NOT NULL ORDER BY w.name, w.id", ())
        return [found for found in map(_workflow, rows) if found.reach.within(visible)]

    async def trigger_states(self, workflow_ids: Sequence[str]) -> dict[tuple[str, int], str | None]:
        """Why triggers that are on fail (None: they do not), by workflow and place."""
        query = f"SELECT workflow_id, place, failing FROM trigger_states WHERE workflow_id IN ({_marks(workflow_ids)})"
        rows = await self._fetch(query, tuple(workflow_ids)) if workflow_ids else []
        return {(workflow_id, place): failing for workflow_id, place, failing in rows}

    async def last_deliveries(self, workflow_id: str, places: int) -> dict[int, tuple[Millis, DeliveryOutcome]]:
        """When something reached triggers last, and what became of that, by place."""
        query = "SELECT at, outcome FROM deliveries WHERE workflow_id = ? AND place = ? ORDER BY id DESC LIMIT 1"
        found = {}
        for place in range(places):
            for at, outcome in await self._fetch(query, (workflow_id, place)):
                found[place] = (at, DeliveryOutcome(outcome))
        scheduled = "SELECT place, last_fire_at FROM schedules WHERE workflow_id = ? AND last_fire_at IS NOT NULL"
        rows = await self._fetch(scheduled, (workflow_id,))
        return found | {place: (at, DeliveryOutcome.FIRED) for place, at in rows}

    async def deliveries(self, workflow_id: str, query: contract.ListDeliveries) -> Listing[contract.Delivery]:
        """A page of the history of a workflow's triggers, newest first. Raises ValidationFailed for a bad cursor."""
        refuse_both(query.cursor, query.offset)
        parts = [Condition("r.workflow_id = ?", (workflow_id,))]
        if query.outcome is not None:
            parts.append(Condition("r.outcome = ?", (str(query.outcome),)))
        if query.type is not None:
            parts.append(Condition("r.type = ?", (query.type,)))
        where = all_of(parts)
        before = ALWAYS if query.cursor is None else Condition("r.id < ?", (place_of(query.cursor, "d")[1],))
        rows = await self._fetch(
            f"{_DELIVERIES} WHERE {where.sql} AND {before.sql} ORDER BY r.id DESC LIMIT ? OFFSET ?",
            (*where.params, *before.params, query.limit + 1, query.offset),
        )
        ((counted,),) = await self._fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM deliveries r WHERE {where.sql} LIMIT {COUNTED + 1}) AS counted", where.params
        )
        items = [delivery_of(record_of(Delivery, row)) for row in rows[: query.limit]]
        total, exact = total_of(counted)
        more = cursor_at(f"d{items[-1].id}") if len(rows) > query.limit else None
        return Listing(items=items, total=total, total_exact=exact, next_cursor=more)

    async def mail_keys(self, workflow_id: str, digest: str) -> list[tuple[int, str, DeliveryOutcome]]:
        """The deliveries of a mail to a workflow, by the digest that their keys begin with: place, key, and what became of it."""
        query = (
            "SELECT place, key, outcome FROM deliveries WHERE type = 'email' AND workflow_id = ? AND key >= ? AND key < ?"
            " AND outcome IN ('fired', 'dry_run', 'filtered')"
        )
        # The sign behind a slash.
        rows = await self._fetch(query, (workflow_id, f"{digest}/", f"{digest}0"))
        return [(place, key, DeliveryOutcome(outcome)) for place, key, outcome in rows]

    async def fetching(self, now: Millis, limit: int) -> list[Delivery]:
        """Deliveries that wait for what GitHub is asked for, and whose turn it is."""
        query = f"{_DELIVERIES} WHERE r.outcome = 'fetching' AND r.due_at <= ? ORDER BY r.due_at LIMIT ?"
        return [record_of(Delivery, row) for row in await self._fetch(query, (now, limit))]

    async def waiting_deliveries(self) -> int:
        """How many wait."""
        ((found,),) = await self._fetch("SELECT count(*) FROM deliveries WHERE outcome = 'fetching'", ())
        return int(found)

    async def refused_strangers(self) -> Millis | None:
        """When a call was refused last before it was known whom it is for."""
        ((at,),) = await self._fetch("SELECT max(at) FROM deliveries WHERE workflow_id = '' AND outcome = 'refused'", ())
        found: Millis | None = at
        return found


def delivery_of(row: Delivery) -> contract.Delivery:
    """A delivery as the contract shows it."""
    return contract.Delivery(
        id=row.id,
        workflow_id=row.workflow_id,
        trigger=row.place,
        type=row.type,
        key=row.key,
        at=moment(row.at),
        outcome=DeliveryOutcome(row.outcome),
        reason=row.reason,
        run_id=row.run_id,
        facts=_facts(row.facts),
        duration_ms=row.duration_ms,
        times=row.times,
    )


def _workflow(row: tuple[Any, ...]) -> Triggered:
    id_, name, latest, number, deployed_at, definition, paths = row
    return Triggered(
        workflow_id=id_,
        name=name,
        latest=latest,
        number=number,
        deployed_at=deployed_at,
        triggers=_triggers(definition).triggers,
        reach=reach(None if paths is None else _names(paths)),
    )


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
