"""What a batch will ask for, as far as its operations tell: a store that is far away fetches it in one go."""

from collections.abc import Sequence

from msgspec import Struct

from orchestrator.domain import operations as ops
from orchestrator.domain.leasing import poll_key
from orchestrator.domain.task import Lease


class Needs(Struct, frozen=True):
    """Rows by what is done with them; ids ascend.

    `heads` may be changed, `parents` must not change meanwhile, `ending` may end and so concern their dependents; `keys` are
    (scope, key), `positions` (task id, lease_no), `polls` keys of polls, `accounts` (scope, account) of claims; `created` counts
    new tasks; `settings`: directories may be set; `beats`: leases are extended; `timely`: what is due is asked for.
    """

    heads: list[int]
    parents: list[int]
    ending: list[int]
    outputs: list[int]
    keys: list[tuple[str, str]]
    positions: list[tuple[int, int]]
    claims: list[ops.Submission]
    polls: list[str]
    accounts: list[tuple[str, str]]
    created: int
    settings: bool
    beats: bool
    timely: bool


def needed(batch: Sequence[ops.Submission]) -> Needs:
    """What the operations of a batch say that they will look at."""
    heads: set[int] = set()
    parents: set[int] = set()
    ending: set[int] = set()
    outputs: set[int] = set()
    keys: set[tuple[str, str]] = set()
    positions: set[tuple[int, int]] = set()
    claims: list[ops.Submission] = []
    polls: set[str] = set()
    created = 0
    settings = False
    beats = [submission.op for submission in batch if isinstance(submission.op, ops.Heartbeat)]
    for submission in batch:
        op = submission.op
        heads.update(op.touches)
        if op.ends:
            ending.update(op.touches)
        match op:
            case ops.Enqueue():
                created += len(op.tasks)
                parents.update(op.parents)
                scope = submission.by.paths.key
                keys.update((scope, task.key) for task in op.tasks if task.key is not None)
            case ops.AppendLogs():
                if (lease := Lease.parse(op.lease)) is not None:
                    positions.add((op.task_id, lease.lease_no))
            case ops.Claim():
                claims.append(submission)
                if (poll := poll_key(op, submission.by)) is not None:
                    polls.add(poll)
            case ops.SetDirectory():
                settings = True
            case _:
                if op.phase is ops.Phase.END:
                    outputs.update(op.touches)
    return Needs(
        heads=sorted(heads),
        parents=sorted(parents - heads),
        ending=sorted(ending),
        outputs=sorted(outputs.union(_reporting(beats))),
        keys=sorted(keys),
        positions=sorted(positions),
        claims=claims,
        polls=sorted(polls),
        accounts=_accounts(claims),
        created=created,
        settings=settings,
        beats=bool(beats),
        timely=any(submission.op.phase in {ops.Phase.SHIFT, ops.Phase.TIME} for submission in batch),
    )


def _reporting(beats: Sequence[ops.Heartbeat]) -> set[int]:
    """Ids of the tasks whose attempts tell what they used: what was counted of it before is asked for."""
    return {op.task_id for op in beats if op.outputs is not None and op.outputs.usage_now is not None}


def _accounts(claims: Sequence[ops.Submission]) -> list[tuple[str, str]]:
    return sorted({(one.by.paths.key, one.op.account) for one in claims if isinstance(one.op, ops.Claim) and one.op.account})
