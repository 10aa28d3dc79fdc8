"""The one place where operations are decided: pure, told the world, the time and chance from outside."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orchestrator.domain import (
    advancing,
    announcing,
    changing,
    defining,
    delivering,
    dependencies,
    deploying,
    doors,
    ending,
    enqueueing,
    holding,
    indexing,
    leasing,
    mailboxes,
    notification_rules,
    notifying,
    runs,
    schedules,
    schedules_due,
    schedules_running,
    timing,
)
from orchestrator.domain import flow_operations as flow
from orchestrator.domain import mailbox_operations as mail
from orchestrator.domain import notification_operations as notify
from orchestrator.domain import operations as ops
from orchestrator.domain import schedule_operations as cron
from orchestrator.domain import trigger_operations as trigger
from orchestrator.domain.outcomes import Decision, Done
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from worker_client.errors import OrchestratorError

Rule = Callable[[Any, Principal, World, Rules], Decision]


def _rehearse(op: ops.Rehearse, by: Principal, world: World, rules: Rules) -> Decision:
    by.require(op.op.needs)
    # In a world of its own: what rules lay over that must not be seen, and saved, by what comes after it.
    apart = World(world.source, now=world.now, chance=world.chance, nonce=world.nonce)
    RULES[type(op.op)](op.op, by, apart, rules)
    return Decision(Done(0))


RULES: Mapping[type[ops.Operation], Rule] = MappingProxyType({
    ops.Heartbeat: leasing.heartbeat,
    ops.AppendLogs: leasing.append_logs,
    ops.Complete: ending.complete,
    ops.Fail: ending.fail,
    ops.Release: ending.release,
    ops.Park: ending.park,
    ops.Undeliver: ending.undeliver,
    ops.Satisfy: dependencies.satisfy,
    ops.Orphan: dependencies.orphan,
    ops.Revive: dependencies.revive,
    ops.Cancel: changing.cancel,
    ops.Retry: changing.retry,
    ops.Execute: changing.execute,
    ops.Answer: changing.answer,
    ops.Approve: changing.approve,
    ops.Reject: changing.reject,
    ops.Update: changing.update,
    ops.Delete: changing.delete,
    ops.SetDirectory: changing.set_directory,
    ops.SetAccount: holding.set_account,
    ops.DrainWorker: holding.drain_worker,
    ops.IssueKey: doors.issue_key,
    ops.OpenSession: doors.open_session,
    ops.ChangeKey: doors.change_key,
    ops.RevokeKey: doors.revoke_key,
    ops.UseKeys: doors.use_keys,
    ops.SetAddress: doors.set_address,
    ops.Note: doors.note,
    ops.Rehearse: _rehearse,
    ops.Shift: timing.shift,
    ops.Recall: ending.recall,
    ops.Tick: timing.tick,
    ops.Expire: ending.expire,
    ops.Promote: timing.promote,
    ops.Prune: timing.prune,
    cron.AddSchedule: schedules.add,
    cron.ChangeSchedule: schedules.change,
    cron.DeleteSchedule: schedules.delete,
    cron.StartSchedule: schedules_running.start,
    cron.StopSchedule: schedules_running.stop,
    cron.RestartSchedule: schedules_running.restart,
    cron.ExecuteSchedule: schedules_running.execute,
    cron.BackfillSchedule: schedules_running.backfill,
    cron.SetScheduler: schedules_running.set_scheduler,
    cron.FireDue: schedules_due.fire_due,
    ops.Enqueue: enqueueing.enqueue,
    flow.SaveWorkflow: defining.save_workflow,
    flow.DeleteWorkflow: defining.delete_workflow,
    flow.BeginRun: runs.begin,
    flow.CancelRun: runs.cancel,
    flow.StopRuns: runs.stop,
    flow.ResumeRun: runs.resume,
    trigger.Deploy: deploying.deploy,
    trigger.Undeploy: deploying.undeploy,
    trigger.Deliver: delivering.deliver,
    trigger.Settle: delivering.settle,
    trigger.Postpone: delivering.postpone,
    notify.AddRule: notification_rules.add,
    notify.ChangeRule: notification_rules.change,
    notify.DeleteRule: notification_rules.delete,
    notify.TakeNotifications: notifying.take,
    notify.SettleNotification: notifying.settle,
    notify.GiveBackNotifications: notifying.give_back,
    notify.Redeliver: notifying.redeliver,
    notify.RedeliverDead: notifying.redeliver_dead,
    flow.Follow: advancing.follow,
    indexing.Index: indexing.index,
    notify.Announce: announcing.announce,
    notify.AnnounceWaiting: announcing.announce_waiting,
    mail.TendMailbox: mailboxes.tend,
    ops.Claim: leasing.claim,
})  # fmt: skip


def decide(submission: ops.Submission, world: World, rules: Rules) -> Decision:
    """What follows from one operation, cascades included; the world has it applied afterwards.

    A refusal is a Decision whose outcome is the error, and changes nothing.
    """
    world.trace = submission.trace
    try:
        submission.by.require(submission.op.needs)
        decision = RULES[type(submission.op)](submission.op, submission.by, world, rules)
    except OrchestratorError as refusal:
        return Decision(refusal)
    world.apply(decision.changes)
    pending = list(decision.then)
    while pending:
        op = pending.pop()
        followed = RULES[type(op)](op, submission.by, world, rules)
        world.apply(followed.changes)
        decision.changes += followed.changes
        decision.wakes += followed.wakes
        pending += followed.then
    return decision
