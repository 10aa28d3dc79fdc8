"""Why a task does not run, in sentences; what the asker may not see is there without its name."""

from collections.abc import Iterator
from functools import partial

from orchestrator.domain import budgets, secrets
from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.principal import PathScope
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head, Millis
from orchestrator.queue.commit import Queue
from orchestrator.store.reads import Bound, Obstacles
from worker_client.contract.enums import ParkReason, Status
from worker_client.contract.tasks import Obstacle, Why

_STATES = {
    Status.RUNNING: "It runs.",
    Status.COMPLETED: "It has completed.",
    Status.FAILED: "It has failed for good: retry it to begin again.",
    Status.CANCELLED: "It was cancelled: retry it to begin again.",
}
_PARKED = {
    ParkReason.QUESTION: "it asks a question: answer it",
    ParkReason.APPROVAL: "it waits for an approval: approve or reject it",
    ParkReason.QUOTA: "its account's quota is used up",
    ParkReason.RELEASES: "workers gave it back too often without working on it",
}


async def explained(head: Head, queue: Queue, visible: PathScope) -> Why:
    """Everything that is in the way of a task, the most telling first."""
    if head.status in _STATES:
        return Why(id=head.id, status=head.status, summary=_final(head), obstacles=[])
    facts = await queue.reads.obstacles(head, queue.now())
    found = [*_own(head), *_parents(facts, visible), *_others(head, facts, visible, queue.now())]
    if queue.rules.max_running and (running := await queue.reads.running()) >= queue.rules.max_running:
        found.append(_full(running, queue.rules, visible))
    found += _secrets(head, queue)
    found += await _quotas(head, queue, visible)
    if not queue.presence.asks_for(head.path, head.host, head.kind, head.tags, queue.now(), agent=head.agent):
        found.append(_unasked(head))
    summary = found[0].message if found else "Nothing is in its way: the next worker that asks gets it when its turn comes."
    return Why(id=head.id, status=head.status, summary=summary, obstacles=found)


def _final(head: Head) -> str:
    if head.status is Status.RUNNING:
        asked = "" if head.cancel_requested_at is None else " It was asked to stop."
        return f"It runs, on worker {head.worker_id}.{asked}"
    reason = f" The reason given: {head.reason}." if head.reason else ""
    return _STATES[head.status] + reason


def _own(head: Head) -> Iterator[Obstacle]:
    """What the task itself waits for."""
    if head.hold is not None:
        until = "" if head.hold_until is None else f", until {_at(head.hold_until)}"
        said = f" It was told: {head.reason}" if head.reason and head.status is Status.PARKED else ""
        yield Obstacle(code=head.hold, message=f"Parked{until}: {_parked(head)}.{said}", until=perhaps(head.hold_until))
    if head.status is Status.SCHEDULED and head.due_at is not None:
        yield Obstacle(code="due", message=f"Due at {_at(head.due_at)}.", until=moment(head.due_at))


def _parked(head: Head) -> str:
    if head.hold == ParkReason.QUOTA and head.account:
        return f"account {head.account} waits for its quota"
    if head.hold != ParkReason.BUDGET:
        return _PARKED[ParkReason(head.hold or "")]
    if head.hold_until is not None:
        return "the budget of a directory is used up"
    words = budgets.used_up(head.budget)
    told = f" ({words})" if words and words != head.reason else ""
    return f"its budget is used up{told}: approve it to go on"


def _parents(facts: Obstacles, visible: PathScope) -> Iterator[Obstacle]:
    for parent in facts.parents:
        if parent.path is None or not visible.covers(parent.path):
            yield Obstacle(code="blocked", message="Blocked by a task that you cannot see.")
        else:
            yield Obstacle(
                code="blocked", message=f"Blocked by task {parent.task_id}, which is {parent.status}.", task_id=parent.task_id
            )


def _others(head: Head, facts: Obstacles, visible: PathScope, now: Millis) -> Iterator[Obstacle]:
    """What happens around its directory."""
    for bound in facts.bounds:
        yield from _spent(head, bound, visible, now)
        setting = bound.setting
        where = setting.path if visible.covers(setting.path) else "a directory above it"
        if setting.paused:
            reason = f": {setting.reason}" if setting.reason and visible.covers(setting.path) else ""
            yield Obstacle(code="paused", message=f"Paused at {where}{reason}.")
        elif setting.max_running is not None and bound.running >= setting.max_running:
            # Those below it are counted, too: not for who cannot see them.
            counted = visible.covers_below(setting.path)
            running = f"{bound.running} tasks run below {where}, and no more than {setting.max_running} may."
            yield Obstacle(code="limited", message=running if counted else f"As many tasks run below {where} as may.")
    for lease in facts.leases:
        if visible.covers(lease.path):
            how = "exclusively" if lease.exclusive else "and this task needs it for itself"
            yield Obstacle(
                code="held",
                message=f"{lease.path} is held by task {lease.task_id}, {how}, until {_at(lease.ends_at)} at the latest.",
                task_id=lease.task_id,
                until=moment(lease.ends_at),
            )
        else:
            yield Obstacle(code="held", message=f"A task that you cannot see holds a directory around {head.path}.")


def _spent(head: Head, bound: Bound, visible: PathScope, now: Millis) -> Iterator[Obstacle]:
    """A day's budget that is used up."""
    setting, spent = bound.setting, bound.spent
    words = budgets.attempts_used_up(setting, spent.attempts + bound.running)
    if words is None and budgets.metered(head.kind):
        words = budgets.day_used_up(setting, spent)
    if words is not None:
        where, told = f"of {setting.path}", f": {words}"
        if not visible.covers_below(setting.path):
            where, told = "of a directory above it", ""
        yield Obstacle(
            code="budget",
            message=f"The budget {where} for today is used up{told}; again at 00:00 UTC, or raise it.",
            until=moment(budgets.tomorrow(now)),
        )


def _full(running: int, rules: Rules, visible: PathScope) -> Obstacle:
    counted = f"{running} tasks run on this server, and no more than {rules.max_running} may."
    return Obstacle(code="full", message=counted if visible.patterns is None else "As many tasks run on this server as may.")


def _secrets(head: Head, queue: Queue) -> Iterator[Obstacle]:
    """Secrets that there are not, or that nobody may use who asks."""
    if missing := secrets.unknown(head.secrets, queue.rules):
        yield Obstacle(
            code="secret",
            message=f"It asks for the secret {missing[0]}, which this server does not have: provide it, or change the task.",
        )
    asked = head.path, head.host, head.kind, head.tags, queue.now()
    asks_for = partial(queue.presence.asks_for, *asked, agent=head.agent)
    if asks_for() and not asks_for(secrets=head.secrets):
        names = ", ".join(head.secrets.split())
        yield Obstacle(code="secret", message=f"Nobody who asks for such tasks may use its secrets ({names}): allow a key to.")


async def _quotas(head: Head, queue: Queue, visible: PathScope) -> list[Obstacle]:
    """What all wait for that ask for such tasks: the quota of their accounts."""
    now = queue.now()
    asking = queue.presence.accounts(head.path, head.host, head.kind, head.tags, now, agent=head.agent)
    if head.status is not Status.WAITING or not asking:
        return []
    held = await queue.reads.held()
    waits = {(scope, account): held.get((scope, account or ""), 0) for scope, account in asking}
    (scope, account), until = min(waits.items(), key=lambda item: item[1])
    if until <= now:
        return []
    # Others' accounts are not named.
    who = f"Account {account}" if visible.patterns is None or scope == visible.key else "The account of its worker"
    return [Obstacle(code="quota", message=f"{who} waits for its quota until {_at(until)}.", until=moment(until))]


def _unasked(head: Head) -> Obstacle:
    host = f" on host {head.host}" if head.host else ""
    tags = f" with the tags {', '.join(head.tags)}" if head.tags else ""
    agent = f" for {head.agent}" if head.agent else ""
    return Obstacle(
        code="no_worker",
        message=f"No worker has asked lately for {head.kind} tasks{agent}{tags} of {head.path}{host}: start one there.",
    )


def _at(at: Millis) -> str:
    return moment(at).isoformat(timespec="seconds").replace("+00:00", "Z")
