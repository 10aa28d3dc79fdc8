"""A batch within its transaction: decided in phases, saved, its answers completed; the same for every store."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from orchestrator.domain.decide import decide
from orchestrator.domain.needs import needed
from orchestrator.domain.operations import Delete, Phase, Shift, Submission
from orchestrator.domain.outcomes import Changed, Claimed, Created, Decision, Outcome, Removed
from orchestrator.domain.principal import SYSTEM, PathScope
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import TaskView
from orchestrator.domain.world import World
from orchestrator.store.transaction import Transaction
from orchestrator.store.veiling import parents_of, veiled
from worker_client.errors import OrchestratorError


def decide_batch(
    batch: Sequence[Submission],
    transaction: Transaction,
    rules: Rules,
    *,
    chance: Callable[[], float],
    nonce: Callable[[], str],
) -> list[Decision]:
    """Decide a batch in its phases, save it, and complete the answers with what they show.

    Claims and what follows from events come after a flush, so that they find in the tables what the phases before them changed.
    """
    decisions: dict[int, Decision] = {}
    needs = needed(batch)
    transaction.expect(needs)
    world = World(transaction, now=transaction.now, chance=chance, nonce=nonce)
    world.load([*needs.heads, *needs.parents], ending=needs.ending)
    if transaction.jump_ms:
        transaction.take(decide(Submission(Shift(by_ms=transaction.jump_ms), SYSTEM), world, rules).changes, SYSTEM.id)
    claiming = following = False
    gone: dict[int, TaskView] = {}
    for at, submission in sorted(enumerate(batch), key=lambda item: item[1].op.phase):
        if submission.op.phase is Phase.CLAIM and not claiming:
            transaction.flush()
            transaction.expect_claims(needs)
            world.claims_begin()
            claiming = True
        if submission.op.phase is Phase.FOLLOW and not following:
            transaction.flush()
            following = True
        decisions[at] = decision = decide(submission, world, rules)
        transaction.take(decision.changes, submission.by.id, submission.origin)
        if isinstance(submission.op, Delete):
            gone |= _last_views(decision, world, transaction)
    transaction.flush()
    transaction.conclude()
    _show([(batch[at].by.paths, decision.outcome) for at, decision in decisions.items()], transaction, gone)
    return [decisions[at] for at in range(len(batch))]


def _last_views(decision: Decision, world: World, transaction: Transaction) -> dict[int, TaskView]:
    """Removed tasks as they were, for those that changed them in the same batch."""
    removed = [change.head for change in decision.changes if isinstance(change, Removed)]
    stored = transaction.views(head.id for head in removed)
    return {head.id: replace(stored[head.id], head=head, outputs=world.outputs(head.id)) for head in removed}


def _show(
    outcomes: Sequence[tuple[PathScope, Outcome | OrchestratorError]], transaction: Transaction, gone: Mapping[int, TaskView]
) -> None:
    wanted = {task_id for _, outcome in outcomes if not isinstance(outcome, Exception) for task_id in outcome.shows}
    if not wanted:
        return
    views = {**gone, **transaction.views(wanted - gone.keys())}
    for visible, outcome in outcomes:
        match outcome:
            case Changed():
                outcome.view = _veiled(views, outcome, transaction, visible).get(outcome.task_id)
            case Created() | Claimed():
                outcome.views = _veiled(views, outcome, transaction, visible)
            case _:
                pass


def _veiled(views: dict[int, TaskView], outcome: Outcome, transaction: Transaction, visible: PathScope) -> dict[int, TaskView]:
    """The tasks of an answer, for somebody who may not see all of their parents."""
    if visible.patterns is None:
        return views
    shown = {task_id: views[task_id] for task_id in outcome.shows if task_id in views}
    parents = parents_of(shown.values())
    seen = transaction.seen(parents, visible) if parents else ()
    return {task_id: veiled(view, seen) for task_id, view in shown.items()}
