"""The types of events there are: what each says, and what is in its `data`."""

from typing import Final, NamedTuple


class Happening(NamedTuple):
    """What happened, in words; `data`: names of what its data may have, in DATA."""

    meaning: str
    data: tuple[str, ...] = ()


_RUN: Final = ("run_id", "workflow_id", "status")
_SCHEDULE: Final = ("schedule_id", "name")
_WORKFLOW: Final = ("workflow_id", "name", "version")
_RULE: Final = ("rule_id", "name")
_DRAIN: Final = ("worker_id", "paths", "reason")
_ENTRY: Final = ("list", "network", "note")

HAPPENINGS: Final = {
    "task.created": Happening("A task was created.", ("source",)),
    "task.claimed": Happening("A worker got it.", ("worker_id", "attempt", "lease_no")),
    "task.completed": Happening("It is done.", ("attempt", "worker_id")),
    "task.failed": Happening(
        "An attempt failed; `status` tells whether it was the last one.", ("attempt", "worker_id", "message", "due_at")
    ),
    "task.expired": Happening("Its worker fell silent: as a failed attempt.", ("attempt", "worker_id", "message", "due_at")),
    "task.released": Happening("Its worker gave it back; no attempt was counted.", ("worker_id", "reason", "due_at")),
    "task.undelivered": Happening("It reached no worker, and waits again.", ("worker_id",)),
    "task.parked": Happening(
        "It waits for something outside: a quota, a budget, an answer, an approval.", ("worker_id", "reason", "message", "due_at")
    ),
    "task.ready": Happening("What it waited for is over."),
    "task.answered": Happening("Somebody answered its question."),
    "task.approved": Happening("Somebody approved it."),
    "task.rejected": Happening("Somebody cancelled it instead of approving it.", ("reason",)),
    "task.unblocked": Happening("All that it depends on is completed.", ("parent",)),
    "task.cancel_requested": Happening("It is to be stopped while it runs.", ("reason",)),
    "task.drain_requested": Happening("The worker that has it was told to drain.", ("worker_id", "reason")),
    "task.cancelled": Happening(
        "It was cancelled, or what it depends on has failed.",
        ("attempt", "worker_id", "reason", "message", "parent"),
    ),
    "task.retried": Happening("Somebody began it again after its end.", ("previous",)),
    "task.revived": Happening("It waits again, as what it depends on was begun again.", ("parent",)),
    "task.executed": Happening("Somebody made it due now."),
    "task.updated": Happening("It was changed.", ("fields",)),
    "task.deleted": Happening("It was deleted."),
    "task.budget_reached": Happening("It has used up its budget, and its worker is told to park it.", ("message",)),
    "task.waiting_long": Happening("It has waited for longer than a notification rule allows; told to that rule alone."),
    "run.started": Happening("A run of a workflow began.", (*_RUN, "source", "version")),
    "run.step": Happening("A step of a run stands otherwise.", (*_RUN, "step", "step_status", "reason")),
    "run.completed": Happening("All steps of a run are done.", _RUN),
    "run.failed": Happening("A run failed.", (*_RUN, "reason")),
    "run.cancelled": Happening("A run was cancelled.", (*_RUN, "reason")),
    "run.resumed": Happening("A run goes on that had failed or been cancelled.", _RUN),
    "schedule.created": Happening("A schedule was created.", _SCHEDULE),
    "schedule.changed": Happening("It was changed.", (*_SCHEDULE, "fields")),
    "schedule.deleted": Happening("It was deleted.", _SCHEDULE),
    "schedule.started": Happening("It fires again.", _SCHEDULE),
    "schedule.stopped": Happening("Somebody paused it.", _SCHEDULE),
    "schedule.restarted": Happening("It began anew, with nothing counted.", _SCHEDULE),
    "schedule.fired": Happening("It created its work.", (*_SCHEDULE, "due_at", "kind", "task_ids", "run_id")),
    "schedule.skipped": Happening("It left out due times.", (*_SCHEDULE, "due_at", "times", "reason")),
    "schedule.failed": Happening("What it should have created was refused.", (*_SCHEDULE, "due_at", "kind", "reason")),
    "schedule.paused": Happening("It paused itself, after too many failures.", (*_SCHEDULE, "reason")),
    "scheduler.started": Happening("Schedules fire again, on all servers."),
    "scheduler.stopped": Happening("No schedule fires, on any server."),
    "trigger.dry_run": Happening(
        "A trigger that only tells would have begun a run.", (*_WORKFLOW, "delivery_id", "trigger", "type")
    ),
    "workflow.saved": Happening("A workflow has a new version.", _WORKFLOW),
    "workflow.deleted": Happening("It was deleted.", _WORKFLOW),
    "workflow.deployed": Happening("Its triggers were turned on.", _WORKFLOW),
    "workflow.undeployed": Happening("Its triggers were turned off.", _WORKFLOW),
    "command.created": Happening("A command was created.", ("name",)),
    "command.changed": Happening("It was changed.", ("name",)),
    "command.deleted": Happening("It was deleted.", ("name",)),
    "directory.changed": Happening(
        "Its settings were changed.",
        ("paused", "reason", "max_running", "daily_tokens", "daily_cost_usd", "daily_attempts"),
    ),
    "directory.budget_reached": Happening("It has used up its budget of the day.", ("message", "due_at")),
    "directory.budget_renewed": Happening("A new day began, or its budget was raised."),
    "account.held": Happening("Nobody gets tasks with it until a time.", ("account", "scope", "until", "reason")),
    "account.resumed": Happening("It may be used again.", ("account", "scope")),
    "worker.drained": Happening("A worker was told to end what it does, and to ask for nothing more.", _DRAIN),
    "worker.undrained": Happening("It may ask again.", _DRAIN),
    "notification.rule_created": Happening("A notification rule was created.", _RULE),
    "notification.rule_changed": Happening("It was changed.", (*_RULE, "fields")),
    "notification.rule_deleted": Happening("It was deleted.", _RULE),
    "notification.rule_disabled": Happening("It was turned off, as its receiver wants no more.", (*_RULE, "reason")),
    "key.created": Happening("A key was made.", ("id", "name", "scopes", "paths", "secrets", "rate", "expires_at")),
    "key.changed": Happening("It was changed.", ("id", "name", "changes")),
    "key.revoked": Happening("It was ended for good.", ("id", "name", "parent")),
    "session.opened": Happening("Somebody signed in, or got a token.", ("id", "name", "parent", "expires_at")),
    "address.added": Happening("An address was put on a list.", _ENTRY),
    "address.removed": Happening("An address was taken off a list.", _ENTRY),
    "settings.reloaded": Happening("A server read its settings anew.", ("changed",)),
}
DATA: Final = {
    "account": "its name",
    "attempt": "the number of the attempt",
    "changed": "the settings that are others now, as `section.key`",
    "changes": "what changed, with the new values",
    "daily_attempts": "the budget of attempts per day",
    "daily_cost_usd": "the budget in US dollars per day",
    "daily_tokens": "the budget of tokens per day",
    "delivery_id": "the id of the delivery",
    "due_at": "when it is due, goes on, or was due; milliseconds since 1970",
    "expires_at": "until when it is good, milliseconds since 1970",
    "fields": "the names of what was changed",
    "id": "the id of the key",
    "kind": "why it fired: `due`, `manual` or `backfill`",
    "lease_no": "the number of the lease",
    "list": "`allow` or `deny`",
    "max_running": "how many tasks may run there; null: any number",
    "message": "the reason in words",
    "name": "its name",
    "network": "the address or network",
    "note": "why, for people",
    "parent": "the id of the task that it depends on; of a key: the one that it was made with",
    "paths": "the directories of whoever said so",
    "paused": "whether it is paused",
    "previous": "how it stood before",
    "rate": "how many requests it may make",
    "reason": "why",
    "rule_id": "the id of the rule",
    "run_id": "the id of the run",
    "schedule_id": "the id of the schedule",
    "scope": "which directories the account is held for",
    "scopes": "what the key may do",
    "secrets": "the names of the secrets that it may use",
    "source": "what created it",
    "status": "how the run stands",
    "step": "the id of the step",
    "step_status": "how the step stands",
    "task_ids": "the ids of the tasks, up to 100",
    "times": "how many due times",
    "trigger": "the place of the trigger in the workflow",
    "type": "the type of the trigger",
    "until": "until when, milliseconds since 1970",
    "version": "the number of the version",
    "worker_id": "the name of the worker",
    "workflow_id": "the id of the workflow",
}
"""What the names in `data` mean; what does not apply is left out."""
