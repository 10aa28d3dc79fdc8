"""What is said about the whole."""

from typing import Final

from orchestrator.domain.advice.catalogue.entry import Entry

OF_ALL: Final = {
    "schedules_collide": Entry(
        60, "many schedules are due in the same minute; `changes` has what to change, and when each would be due then",
        "{count} schedules are due in the same minute ({at}).",
        "Spread them with `H` as the minute, or with a jitter: {proposals:list}.",
    ),
    "schedules_collide_there": Entry(
        62, "several schedules are due for one directory in the same minute; `changes` as above",
        "{count} schedules are due for {path} in the same minute ({at}).",
        "Let them come one after the other: {proposals:list}.",
    ),
    "schedule_never_succeeded": Entry(
        85, "a schedule has fired several times, and what it created never completed",
        "The schedule {name} never succeeded: all of its {runs} runs failed.",
        "Look at one of its tasks, mend it, and run it once (`orchestrator schedule run`); stop it until then.",
    ),
    "schedule_failing": Entry(
        70, "the last runs of a schedule all failed",
        "The last {failures} runs of the schedule {name} failed.",
        "Look at the latest of its tasks; `pause_after_failures` would stop it by itself.",
    ),
    "schedule_paused": Entry(
        75, "a schedule was paused by the server because it failed too often",
        "The schedule {name} is paused after {failures} failures in a row.",
        "Mend what fails, then `orchestrator schedule start` it.",
    ),
    "schedule_stopped": Entry(
        20, "a schedule was paused by somebody more than a week ago",
        "The schedule {name} has been paused for {paused_seconds:time}.",
        "Start it again, or delete it when nobody needs it.",
    ),
    "waits_for_workers": Entry(
        65, "work of a directory waits longer than it runs, and nothing but the number of workers explains it",
        "Work in {path} waits {waits_seconds:time} for a worker and then runs {runs_seconds:time} (medians of {samples}).",
        "Start more workers there, or let each do more at once (`--concurrency`); now {workers} do the work.",
    ),
    "waits_for_limit": Entry(
        65, "work of a directory waits longer than it runs, and its `max_running` is reached",
        "Work in {path} waits {waits_seconds:time} and then runs {runs_seconds:time}: no more than {max_running} may run there.",
        "Raise `max_running` with `orchestrator directory set`, if the machine can do more.",
    ),
    "waits_for_exclusive": Entry(
        62, "work of a directory waits longer than it runs, and most of it wants the directory for itself",
        "Work in {path} waits {waits_seconds:time} and then runs {runs_seconds:time}: {exclusive_share:share} "
        "of it is exclusive.",
        "Let go of `exclusive` where tasks do not disturb each other; worktrees let agents work side by side.",
    ),
    "nobody_asks": Entry(
        90, "tasks wait in a directory, and no worker asks for them",
        "{waiting} waiting in {path}, the first for {waited_seconds:time}, and no worker asks for {kind} tasks there.",
        "Start one: `orchestrator-worker run --dir` with that directory, on the right machine; or see `why` of the first task.",
    ),
    "unanswered": Entry(
        72, "a task has waited for an answer or an approval for hours",
        "Task {task_id} has waited for {waited_seconds:time} for a person.",
        "Answer, approve or reject it.",
    ),
    "never_succeeds": Entry(
        82, "tasks of the same work fail at the first attempt, and at all later ones",
        "{work}: none of the last {tasks} tasks completed.",
        "More attempts do not help. Look at the advice for one of the tasks; stop what creates them until it is mended.",
    ),
    "fails_first": Entry(
        60, "tasks of the same work nearly always fail at the first attempt, and pass later",
        "{work}: {failed_first} of {tasks} tasks fail at the first attempt, and {passed_later} of these pass later.",
        "Something is not ready at first: let the task depend on what prepares it, or set `not_before`.",
    ),
    "flaky": Entry(
        50, "tasks of the same work often fail at the first attempt, and pass later",
        "{work}: {failed_first} of {tasks} tasks fail at the first attempt, and {passed_later} of these pass later.",
        "The work is flaky: look for tests or services that fail now and then; each time costs an attempt.",
    ),
    "timeout_too_short": Entry(
        78, "attempts end by time-out while others of the same work take nearly as long",
        "{work}: {timed_out} attempts ended by the time-out of {timeout_seconds:time}; others took up to {longest_seconds:time}.",
        "Set `timeout_seconds` to {suggested_seconds} ({suggested_seconds:time}).",
    ),
    "timeout_too_long": Entry(
        25, "the time-out is many times what the work takes, so that a hung attempt is noticed late",
        "{work}: the time-out is {timeout_seconds:time}, and none of {samples} attempts took longer than {longest_seconds:time}.",
        "Set `timeout_seconds` to {suggested_seconds} ({suggested_seconds:time}), so that one that hangs is noticed.",
    ),
    "hangs": Entry(
        66, "attempts hang until a time-out that is many times what the work takes",
        "{work}: {timed_out} attempts hung until the time-out of {timeout_seconds:time}; others took up to "
        "{longest_seconds:time}.",
        "Look at the last lines of those that hung; with `timeout_seconds` {suggested_seconds} they are noticed sooner.",
    ),
    "failing_more": Entry(
        88, "clearly more tasks of a directory, agent or schedule fail than before",
        "{what}: {failed} of {tasks} tasks failed in the last {recent_seconds:time}; before it were "
        "{failed_before} of {tasks_before}.",
        "Look for what changed since {since}; the advice for one of the tasks may say it.",
    ),
    "leases_lost": Entry(
        80, "attempts on one machine or worker end because it dies or is cut off",
        "{where} lost {lost} of its {attempts} leases.",
        "Look at that machine: memory, power saving, network, whether workers are killed. `--concurrency` may be too high.",
    ),
    "cost_outlier": Entry(
        45, "one attempt cost many times what others of the same work cost",
        "Task {task_id} cost {cost_usd:money}; others like it cost {usual_usd:money} (median of {samples}).",
        "Look at what it did; a `budget` for such tasks would have asked somebody before.",
    ),
    "cost_rising": Entry(
        68, "a directory costs far more today than on the days before",
        "{path} has cost {today_usd:money} today; on the {days} days before it was {usual_usd:money} a day.",
        "Look at its latest tasks; `orchestrator directory set --daily-cost` limits a day.",
    ),
}  # fmt: skip
