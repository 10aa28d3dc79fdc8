"""Claims, and what keeps a lease alive."""

from collections.abc import Iterator
from hashlib import sha256

from msgspec.structs import replace

from orchestrator.domain import accounts, budgets, daily, secrets
from orchestrator.domain import operations as ops
from orchestrator.domain.holding import is_held
from orchestrator.domain.lifecycle import Verb, permit
from orchestrator.domain.moves import happened, leased, pinned, revise, to_json
from orchestrator.domain.outcomes import Beat, Change, Claimed, Decision, Grant, Logged, LogsAppended, Saved, Written
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Reservation, Rules
from orchestrator.domain.task import Head, Lease, LeaseMode, Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import Directive, Status
from worker_client.contract.specs import DIRECTORYLESS
from worker_client.errors import Conflict, Forbidden


def claim(op: ops.Claim, by: Principal, world: World, rules: Rules) -> Decision:
    """Lease the first tasks in rank order that nothing keeps back; the same poll again gets the same ones."""
    for path in op.interest.paths:
        if not (by.paths.covers_below(path) if op.interest.recursive else by.paths.covers(path)):
            raise Forbidden(f"this key may not claim in {path}", work_path=path)
    poll = poll_key(op, by)
    # Asked again as the same one, but by a token for less, it gets no secrets that are not for that.
    delivered = [] if poll is None else [head for head in world.delivered(poll) if secrets.may_use(head.secrets, by)]
    if delivered:
        return _again(op, delivered, world)
    if world.holds.drained(op.worker_id, by.paths):
        return Decision(Claimed([], drain=True))
    if op.account and is_held(op.account, by, world):
        return Decision(Claimed([], quota=True))
    changes: list[Change] = []
    grants: list[Grant] = []
    gate = _Gate(op, world, rules)
    for head in gate.open(world.candidates(op.interest, gate.shuts)):
        taken = _take(head, op, by, world, rules, poll)
        step: list[Change] = [
            Saved(taken),
            happened("claimed", taken, worker_id=op.worker_id, attempt=taken.attempt, lease_no=taken.lease_no),
        ]
        changes += step
        grants.append(Grant(taken.id, str(Lease(taken.id, taken.lease_no, taken.nonce or "")), taken.delivery_no))
        if len(grants) == op.limit:
            break
        world.apply(step)  # the next grant must see this one
    changes += gate.reached()
    return Decision(Claimed(grants, gate.held_at, gate.leased_at, gate.full), changes)


def poll_key(op: ops.Claim, by: Principal) -> str | None:
    """What repetitions of one poll have in common; None when it has no id."""
    return None if op.poll_id is None else sha256(to_json([by.id, op.worker_id, op.poll_id]).encode()).hexdigest()


class _Gate:
    """Keeps back candidates that a pause, a limit, a lease or a reservation forbids."""

    def __init__(self, op: ops.Claim, world: World, rules: Rules) -> None:
        self.held_at: str | None = None
        self.leased_at: str | None = None
        self.full = False
        self._op = op
        self._world = world
        self._rules = rules
        self._starved: list[Reservation] = []
        self._spent: dict[tuple[str, str], str] = {}

    def shuts(self, path: str, kind: str) -> bool:
        """Whether no task of a kind in a directory can be given now, so that none of them need be looked at."""
        if self._op.interest.tags:
            return False  # what is held would be said of tasks that are not asked for
        if self._limited(path, kind):
            self.held_at = self.held_at or path
            return True
        # A lease above owns all that a task here could touch, so also what a starved task here would reserve.
        if kind not in DIRECTORYLESS and self._world.owned(path, self._op.interest.host):
            self.held_at = self.held_at or path
            self.leased_at = self.leased_at or path
            return True
        return False

    def open(self, candidates: Iterator[Head]) -> Iterator[Head]:
        wanted = self._op.interest
        for head in candidates:
            if wanted.tags and not wanted.tags.issubset(head.tags):
                continue
            if not wanted.principal.paths.covers(head.path):
                continue
            if head.secrets and not self._may_know(head):
                continue
            if self._rules.max_running and self._world.running_below(None, "") >= self._rules.max_running:
                self.held_at, self.full = head.path, True
                return
            if self._limited(head.path, head.kind):
                self.held_at = self.held_at or head.path
            elif self._excluded(head):
                self.held_at = self.held_at or head.path
                self.leased_at = self.leased_at or head.path
            else:
                yield head

    def _may_know(self, head: Head) -> bool:
        """Whether there are the secrets of a task, and the asker may use them."""
        if not secrets.may_use(head.secrets, self._op.interest.principal):
            return False
        if secrets.unknown(head.secrets, self._rules):
            self.held_at = self.held_at or head.path  # they may yet be provided
            return False
        return True

    def reached(self) -> list[Change]:
        """What follows for the directories whose budget for today kept something back."""
        found = ((self._world.setting(*place), words) for place, words in self._spent.items())
        return [change for setting, words in found if setting for change in daily.reached(setting, words, self._world)]

    def _limited(self, path: str, kind: str) -> bool:
        for setting in self._world.settings_over(path, self._op.interest.host):
            if setting.paused:
                return True
            if setting.max_running is not None:
                running = self._world.running_below(setting.path, setting.host)
                if running >= setting.max_running:
                    return True
            if (words := daily.forbids(setting, kind, self._world)) is not None:
                self._spent[setting.path, setting.host] = words
                return True
        return False

    def _excluded(self, head: Head) -> bool:
        mode = lease_mode(head, exclusive=self._op.interest.exclusive)
        if mode == LeaseMode.NONE:
            return False
        host, since = self._op.interest.host, self._op.since or self._world.now
        reservations = (*self._rules.reservations, *self._starved)
        if reservations and any(
            one.bars(path=head.path, host=host, since=since, worker_id=self._op.worker_id) for one in reservations
        ):
            return True
        conflict = self._world.lease_conflict(head.path, host, exclusive=mode == LeaseMode.EXCLUSIVE)
        if conflict and mode == LeaseMode.EXCLUSIVE and self._world.now - head.ready_at >= self._rules.patience:
            # An exclusive task that has been ready for long keeps those ranked after it out, or it would starve.
            self._starved.append(Reservation(head.path, host, since - 1, ""))
        return conflict


def lease_mode(head: Head, *, exclusive: bool) -> int:
    """How a lease on the task holds its directory; http and function tasks hold none."""
    if head.kind in DIRECTORYLESS:
        return LeaseMode.NONE
    return LeaseMode.EXCLUSIVE if head.exclusive or exclusive else LeaseMode.SHARED


def _take(head: Head, op: ops.Claim, by: Principal, world: World, rules: Rules, poll: str | None) -> Head:
    permit(Verb.CLAIM, head.status, head.id)
    now = world.now
    deadline = now + head.timeout_ms
    ends_at = min(now + op.lease_ms, deadline)
    confirm_by = None if op.confirm_ms is None else now + op.confirm_ms
    return revise(
        head,
        world,
        status=Status.RUNNING,
        attempt=head.attempt + 1,
        lease_no=head.lease_no + 1,
        nonce=world.nonce(),
        lease_mode=lease_mode(head, exclusive=op.interest.exclusive),
        lease_host=op.interest.host,
        lease_ms=op.lease_ms,
        lease_ends_at=ends_at,
        lease_deadline=deadline,
        confirm_by=confirm_by,
        expire_at=expiry(now, ends_at, confirm_by, rules),
        used=False,
        worker_id=op.worker_id,
        account=op.account,
        claimed_by=by.id,
        poll_key=poll,
        poll_hash=op.fingerprint if poll else None,
        delivery_no=1,
        ended_by=None,
        started_at=now,
    )


def expiry(now: Millis, ends_at: Millis, confirm_by: Millis | None, rules: Rules) -> Millis:
    """When the server acts on the end of a lease: a little later than the worker, so that the work has stopped."""
    at = ends_at + min(rules.expiry_grace, max(0, ends_at - now) // 10)
    return at if confirm_by is None else min(at, confirm_by)


def _again(op: ops.Claim, delivered: list[Head], world: World) -> Decision:
    if any(head.poll_hash != op.fingerprint for head in delivered):
        raise Conflict(
            f"poll_id {op.poll_id!r} was used with other parameters; use a new poll_id for a new question", field="poll_id"
        )
    changes: list[Change] = []
    grants: list[Grant] = []
    for head in sorted(delivered, key=lambda row: row.id):
        again = revise(head, world, delivery_no=head.delivery_no + 1)
        changes.append(Saved(again))
        grants.append(Grant(again.id, str(Lease(again.id, again.lease_no, again.nonce or "")), again.delivery_no))
    return Decision(Claimed(grants), changes)


def heartbeat(op: ops.Heartbeat, by: Principal, world: World, rules: Rules) -> Decision:
    """Extend the lease, but neither past the attempt's time-out nor long past a cancel request.

    What the attempt has used counts at once; when a budget is used up by now, the worker is told to park.
    """
    head = leased(op.task_id, op.lease, Verb.HEARTBEAT, by, world)
    until = world.now + head.lease_ms
    if head.lease_deadline is not None:
        until = min(until, head.lease_deadline)
    if head.cancel_requested_at is not None:
        until = min(until, head.cancel_requested_at + rules.cancel_grace)
    ends_at = max(until, head.lease_ends_at or 0)
    expire_at = expiry(world.now, ends_at, None, rules)
    agent = pinned(head, op.agent, op.outputs)
    extended = revise(head, world, used=True, confirm_by=None, lease_ends_at=ends_at, expire_at=expire_at, agent=agent)
    changes: list[Change] = [Saved(extended)]
    before = used = None if head.budget is None else accounts.usage_of(world.outputs(head.id).usage_now)
    if op.outputs is not None:
        outputs, counted = accounts.told(head, op.outputs, world)
        changes += [Written(head.id, outputs), *counted]
        used = accounts.usage_of(outputs.usage_now) or used
    drain = world.holds.drained(head.worker_id or "", by.paths)
    if head.cancel_requested_at is not None:
        return Decision(Beat(Directive.CANCEL, ends_at, head.lease_ms, drain=drain), changes)
    if words := budgets.used_up(head.budget, used):
        if budgets.used_up(head.budget, before) is None:
            changes.append(happened("budget_reached", extended, message=words))
        return Decision(Beat(Directive.PARK, ends_at, head.lease_ms, budgets.own(words), drain), changes)
    if found := daily.overspent(head.path, head.lease_host or "", head.kind, world):
        return Decision(Beat(Directive.PARK, ends_at, head.lease_ms, daily.said(*found, by), drain), changes)
    return Decision(Beat(Directive.CONTINUE, ends_at, head.lease_ms, drain=drain), changes)


def append_logs(op: ops.AppendLogs, by: Principal, world: World, rules: Rules) -> Decision:
    """Store the lines that are new."""
    head = leased(op.task_id, op.lease, Verb.LOG, by, world)
    last_number, last_line = world.log_position(head.id, head.lease_no)
    first = last_line + 1 if op.first_line is None else op.first_line
    known = max(0, last_line + 1 - first)
    lines = op.lines[known:]
    changes: list[Change] = []
    if not head.used:
        expire_at = expiry(world.now, head.lease_ends_at or 0, None, rules)
        changes.append(Saved(revise(head, world, used=True, confirm_by=None, expire_at=expire_at)))
    if lines:
        stamped = tuple(line if line.at is not None else replace(line, at=world.now) for line in lines)
        changes.append(LogsAppended(head.id, head.lease_no, last_number + 1, first + known, stamped))
    return Decision(Logged(len(lines), max(last_line + 1, first + known + len(lines))), changes)
