"""The books on a lease: what its attempt used so far, and the row in the history once it is over."""

from typing import Final

import msgspec
from msgspec.structs import replace

from orchestrator.domain import budgets, daily
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import AttemptEnded, Change, UsageCounted, Written
from orchestrator.domain.task import Head, Outputs
from orchestrator.domain.world import World
from worker_client.contract.enums import AttemptOutcome
from worker_client.contract.reports import MOST, MOST_USD, Usage

_COSTLY: Final = frozenset({AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.EXPIRED})
"""How attempts end that count; the others were given back."""
_NAMED: Final = 64
"""Of the name of a model or an agent so much tells it from others: a key of the ledger has little room."""
_TAGS: Final = 16
"""For so many tags of a task its usage is counted: each is a row that every report writes."""
_decode: Final = msgspec.json.Decoder(Usage | None).decode


def usage_of(text: str | None) -> Usage | None:
    """The usage that a column holds."""
    return None if text is None else _decode(text)


def add_usage(one: Usage | None, other: Usage | None) -> Usage:
    """The sum of two usages, as far as a usage can count; the later model wins."""
    one, other = one or Usage(), other or Usage()
    return Usage(
        input_tokens=min(MOST, one.input_tokens + other.input_tokens),
        output_tokens=min(MOST, one.output_tokens + other.output_tokens),
        cached_tokens=min(MOST, one.cached_tokens + other.cached_tokens),
        cost_usd=min(MOST_USD, one.cost_usd + other.cost_usd),
        duration_ms=min(MOST, one.duration_ms + other.duration_ms),
        model=other.model or one.model,
    )


def _later(one: Usage, other: Usage) -> Usage:
    """What an attempt used that told both: what was counted is not taken back by a later report of less."""
    return Usage(
        input_tokens=max(one.input_tokens, other.input_tokens),
        output_tokens=max(one.output_tokens, other.output_tokens),
        cached_tokens=max(one.cached_tokens, other.cached_tokens),
        cost_usd=max(one.cost_usd, other.cost_usd),
        duration_ms=max(one.duration_ms, other.duration_ms),
        model=other.model or one.model,
    )


def told(head: Head, outputs: Outputs, world: World) -> tuple[Outputs, list[Change]]:
    """What a heartbeat brings, to be written; and what follows from what the attempt has used by now."""
    sent = usage_of(outputs.usage_now)
    if sent is None:
        return outputs, []
    before = usage_of(world.outputs(head.id).usage_now)
    now = sent if before is None else _later(before, sent)
    return replace(outputs, usage_now=to_json(now)), _counted(head, before, now, world)


def account(
    head: Head,
    outcome: AttemptOutcome,
    world: World,
    *,
    outputs: Outputs | None = None,
    usage: str | None = None,
    error: str | None = None,
    reason: str | None = None,
    evidence: str | None = None,
) -> tuple[Head, list[Change]]:
    """Close the books on a lease: its row in the history, its usage added to the task's, to its budget and to the ledger."""
    written = outputs
    session_id = outputs.session_id if outputs else None
    counted = used = None
    if head.used or usage is not None:
        before = world.outputs(head.id)
        session_id = session_id or before.session_id
        counted, used = usage_of(before.usage_now), usage_of(usage)
        if counted is not None:
            used = counted if used is None else _later(counted, used)
        if used is not None:
            total = to_json(add_usage(usage_of(before.usage_before), used))
            written = replace(written or Outputs(), usage_before=total, usage_now="null")
    usage = None if used is None else to_json(used)
    changes: list[Change] = [AttemptEnded(head, outcome, world.now, error, usage, session_id, reason, evidence)]
    if written is not None:
        changes.append(Written(head.id, written))
    changes += _counted(head, counted, used, world, attempts=int(outcome in _COSTLY))
    return head if used is None else replace(head, budget=budgets.charged(head.budget, used)), changes


def _counted(head: Head, before: Usage | None, now: Usage | None, world: World, *, attempts: int = 0) -> list[Change]:
    """The ledger's part: what a lease used more than was counted before, and what that uses up."""
    if now == before and not attempts:
        return []
    before, now = before or Usage(), now or Usage()
    change = UsageCounted(
        head.id,
        head.version,
        head.path,
        head.lease_host or "",
        (now.model or "")[:_NAMED],
        head.agent[:_NAMED],
        attempts,
        now.input_tokens - before.input_tokens,
        now.output_tokens - before.output_tokens,
        now.cached_tokens - before.cached_tokens,
        budgets.micros(now.cost_usd) - budgets.micros(before.cost_usd),
        now.duration_ms - before.duration_ms,
        head.tags[:_TAGS],
    )
    world.apply([change])
    return [change, *daily.noticed(head.path, head.lease_host or "", world)]
