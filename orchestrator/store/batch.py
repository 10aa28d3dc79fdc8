"""A batch within its transaction: decided in phases, saved, its answers completed; the same for every store."""

from collections.abc import Sequence

from orchestrator.domain.decide import decide
from orchestrator.domain.operations import Phase, Submission
from orchestrator.domain.outcomes import Changed, Claimed, Created, Decision, Outcome
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from orchestrator.store.transaction import Transaction
from worker_client.errors import OrchestratorError


def decide_batch(batch: Sequence[Submission], world: World, rules: Rules, transaction: Transaction) -> list[Decision]:
    """Decide a batch in its phases, save it, and complete the answers with what they show.

    Claims come after a flush, so that they find in the tables what the phases before them changed.
    """
    decisions: dict[int, Decision] = {}
    ordered = sorted(enumerate(batch), key=lambda item: item[1].op.phase)
    world.load(
        (task_id for submission in batch for task_id in submission.op.touches),
        ending=(task_id for submission in batch if submission.op.ends for task_id in submission.op.touches),
    )
    claiming = False
    for at, submission in ordered:
        if submission.op.phase is Phase.CLAIM and not claiming:
            transaction.flush()
            claiming = True
        decisions[at] = decision = decide(submission, world, rules)
        transaction.take(decision.changes)
    transaction.flush()
    _show([decision.outcome for decision in decisions.values()], transaction)
    return [decisions[at] for at in range(len(batch))]


def _show(outcomes: Sequence[Outcome | OrchestratorError], transaction: Transaction) -> None:
    wanted = {task_id for outcome in outcomes if not isinstance(outcome, Exception) for task_id in outcome.shows}
    if not wanted:
        return
    views = transaction.views(wanted)
    for outcome in outcomes:
        match outcome:
            case Changed():
                outcome.view = views.get(outcome.task_id)
            case Created() | Claimed():
                outcome.views = views
            case _:
                pass
