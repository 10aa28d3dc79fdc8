"""Which scope each operation needs, and that nothing is done without it."""

from typing import Any, cast

import msgspec
import pytest

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import mailbox_operations as mail
from orchestrator.domain import notification_operations as tell
from orchestrator.domain import operations as ops
from orchestrator.domain import schedule_operations as cron
from orchestrator.domain import trigger_operations as hooks
from orchestrator.domain.decide import RULES, decide
from orchestrator.domain.indexing import Index
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, OPEN, PathScope, Principal, path_scope
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from worker_client.contract.enums import Scope
from worker_client.errors import Forbidden

NEEDS = {
    Scope.READ: {ops.OpenSession, ops.RevokeKey},
    Scope.SUBMIT: {
        ops.Enqueue, ops.Cancel, ops.Retry, ops.Execute, ops.Answer, ops.Update, ops.Delete,
        flow.BeginRun, flow.CancelRun, flow.StopRuns, flow.ResumeRun,
        cron.ExecuteSchedule, cron.BackfillSchedule, hooks.Deliver,
    },
    Scope.WORK: {
        ops.Claim, ops.Heartbeat, ops.AppendLogs, ops.Complete, ops.Fail, ops.Release, ops.Park, ops.Undeliver,
    },
    Scope.ADMIN: {
        ops.Approve, ops.Reject, ops.SetDirectory, ops.IssueKey, ops.ChangeKey, ops.UseKeys, ops.SetAddress, ops.Note,
        ops.Shift, ops.Recall, ops.Tick, ops.Expire, ops.Promote, ops.Prune, ops.SetAccount, ops.DrainWorker,
        flow.SaveWorkflow, flow.DeleteWorkflow, flow.Follow,
        cron.AddSchedule, cron.ChangeSchedule, cron.DeleteSchedule, cron.StartSchedule, cron.StopSchedule, cron.RestartSchedule,
        cron.FireDue, cron.SetScheduler,
        hooks.Deploy, hooks.Undeploy, hooks.Settle, hooks.Postpone, mail.TendMailbox, ops.Rehearse, Index,
        tell.AddRule, tell.ChangeRule, tell.DeleteRule, tell.Announce, tell.AnnounceWaiting, tell.TakeNotifications,
        tell.SettleNotification, tell.GiveBackNotifications, tell.Redeliver, tell.RedeliverDead,
    },
}  # fmt: skip
CASCADES = {ops.Satisfy, ops.Orphan, ops.Revive}
"""Never asked for: they follow from what was."""


def bare(kind: type[ops.Operation]) -> ops.Operation:
    """An operation of which nothing but its kind may be looked at."""
    return kind(**{field.name: None for field in msgspec.structs.fields(kind) if field.required})


def test_every_operation_says_what_it_needs() -> None:
    assert {kind: scope for scope, kinds in NEEDS.items() for kind in kinds} == {
        kind: kind.needs for kind in RULES if kind not in CASCADES
    }


@pytest.mark.parametrize("kind", [kind for kind in RULES if kind not in CASCADES], ids=lambda kind: kind.__name__)
def test_nothing_is_looked_at_without_the_scope(kind: type[ops.Operation]) -> None:
    world = World(cast("Any", None), now=0, chance=lambda: 0.5, nonce=str)
    by = Principal("k", ALL_SCOPES - {kind.needs})
    decision = decide(ops.Submission(bare(kind), by), world, Rules())
    assert isinstance(decision.outcome, Forbidden)
    assert decision == Decision(decision.outcome)
    assert decision.outcome.details == {"scope": str(kind.needs)}
    assert f"lacks the scope {kind.needs}" in decision.outcome.message


@pytest.mark.parametrize(
    ("patterns", "other", "lies_within"),
    [
        (["/a"], ["/a"], True),
        (["/a"], ["/a/**"], True),
        (["/a/**"], ["/a"], False),
        (["/a/b/**", "/c"], ["/a/**", "/c"], True),
        (["/a/b/**", "/d"], ["/a/**", "/c"], False),
        (["/ab/**"], ["/a/**"], False),
        (["/**"], ["**"], True),
        (["**"], ["/**"], False),
        (["C:\\x\\**"], ["C:\\**"], True),
        ([], ["/a"], True),
    ],
)
def test_a_scope_lies_within_another(patterns: list[str], other: list[str], *, lies_within: bool) -> None:
    assert path_scope(patterns).within(path_scope(other)) == lies_within


def test_patterns_are_read_as_they_are_written() -> None:
    written = ["/", "/**", "/a", "/a/b/**", "C:\\**", "C:\\x", "\\\\server\\share\\x\\**"]
    scope = path_scope(written)
    assert [str(pattern) for pattern in scope.patterns or ()] == written
    assert path_scope(["/a/../b//**"]) == path_scope(["/b/**"])
    assert path_scope(["/a", "**"]) == EVERYWHERE
    assert (path_scope(["**"]).key, len(PathScope(()).key)) == ("**", 64)


@pytest.mark.parametrize("bad", ["a/**", "/a/*", "/a/*/b", "/*/**", "", "***", "/a**"])
def test_what_is_no_pattern_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|path"):
        path_scope([bad])


def test_who_administers_does_so_everywhere() -> None:
    assert OPEN.administers
    assert not Principal("k", ALL_SCOPES, path_scope(["/**"])).administers
    assert not Principal("k", ALL_SCOPES - {Scope.ADMIN}).administers
    assert msgspec.json.decode(msgspec.json.encode(OPEN), type=Principal) == OPEN
