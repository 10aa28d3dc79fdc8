"""What the demo queues, and what must come of it."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from worker_client.contract.enums import Priority, Status
from worker_client.contract.tasks import Backoff, CreateTask, Task

Played = Mapping[str, Task]
"""The tasks by the name of their act."""
Promise = Callable[[Task, Played], str | None]
"""What is wrong with how a task ended; None when it went as it should."""

ATTEMPTS_OF_FLAKY: Final = 3
SOON_SECONDS: Final = 10.0
LONG: Final = "train"
LONG_IS_RUNNING: Final = "epoch 3"
"""The line of its output after which the long task is cancelled."""


class Act(Struct, frozen=True, kw_only=True):
    """One task of the demo; `after` is the act that it depends on."""

    name: str
    title: str
    command: str
    notice: str
    promise: Promise
    after: str | None = None
    options: Mapping[str, Any] = {}

    def body(self, repository: str, ids: Mapping[str, int]) -> CreateTask:
        """What is sent to create it."""
        return CreateTask(
            work_directory=repository,
            kind="script",
            title=self.title,
            spec={"command": self.command},
            depends_on=[ids[self.after]] if self.after else [],
            **self.options,
        )


def _completed(task: Task, _: Played) -> str | None:
    if task.status is not Status.COMPLETED:
        return f"is {task.status}, not completed" + (f": {task.error.message}" if task.error else "")
    return None if task.attempt == 1 else f"took {task.attempt} attempts, not one"


def _third_attempt(task: Task, _: Played) -> str | None:
    if task.status is not Status.COMPLETED or task.attempt != ATTEMPTS_OF_FLAKY:
        return f"is {task.status} after {task.attempt} attempts, not completed at the {ATTEMPTS_OF_FLAKY}rd"
    return None


def _first_of_all(task: Task, played: Played) -> str | None:
    overtook = [one for one in played.values() if one.id != task.id and _start(one) <= _start(task)]
    if overtook:
        return f"began after task {overtook[0].id}"
    return _completed(task, played)


def _last_of_the_waiting(task: Task, played: Played) -> str | None:
    behind = [one for one in played.values() if one.priority is Priority.NORMAL and not one.depends_on and _first(one)]
    if any(_start(one) > _start(task) for one in behind):
        return "began before tasks of normal priority that were waiting with it"
    return _completed(task, played)


def _after_its_parent(task: Task, played: Played) -> str | None:
    parent = next(one for one in played.values() if one.id in task.depends_on)
    if parent.finished_at is None or _start(task) < parent.finished_at.timestamp():
        return f"began before task {parent.id} was completed"
    return _completed(task, played)


def _stopped_at_once(task: Task, _: Played) -> str | None:
    if task.status is not Status.CANCELLED or task.started_at is None or task.finished_at is None:
        return f"is {task.status}, not cancelled while it ran"
    if task.cancel_requested_at is None:
        return None
    took = (task.finished_at - task.cancel_requested_at).total_seconds()
    return None if took < SOON_SECONDS else f"was stopped only after {took:.0f} s"


def _start(task: Task) -> float:
    return task.started_at.timestamp() if task.started_at else float("inf")


def _first(task: Task) -> bool:
    return task.attempt == 1


ACTS: Final = (
    Act(
        name="tidy",
        title="Tidy up the branches",
        command="git branch --list; sleep 1; git gc --quiet",
        options={"priority": Priority.LOW},
        notice="low priority: queued first, taken when nothing else waited",
        promise=_last_of_the_waiting,
    ),
    Act(
        name="tests",
        title="Run the tests",
        command='sleep 1; "$PYTHON" -m unittest -v',
        options={"environment": {"PYTHON": sys.executable}},
        notice="a command in the repository; two at a time, as --concurrency 2 says",
        promise=_completed,
    ),
    Act(
        name="flaky",
        title="Fetch from a flaky mirror",
        command=(
            'echo "attempt $ORCHESTRATOR_ATTEMPT"; sleep 0.4; '
            f'[ "$ORCHESTRATOR_ATTEMPT" -ge {ATTEMPTS_OF_FLAKY} ] || {{ echo "the mirror is busy" >&2; exit 75; }}'
        ),
        options={"backoff": Backoff(base_seconds=0.5, factor=2, jitter=0)},
        notice="failed twice, came back by itself after 0.5 s and 1 s: `orchestrator logs {id}`",
        promise=_third_attempt,
    ),
    Act(
        name=LONG,
        title="Train for an hour",
        command='i=0; while :; do i=$((i + 1)); echo "epoch $i"; sleep 0.4; done',
        notice="cancelled while it ran: stopped at once with all its processes; that costs no attempt",
        promise=_stopped_at_once,
    ),
    Act(
        name="archive",
        title="Build the archive",
        command="sleep 1; git archive --output=release.tar HEAD && ls -l release.tar",
        notice="the next task waits for this one",
        promise=_completed,
    ),
    Act(
        name="publish",
        title="Publish the archive",
        command="sleep 0.5; git hash-object release.tar",
        after="archive",
        notice="blocked until task {after} was completed",
        promise=_after_its_parent,
    ),
    Act(
        name="notes",
        title="Write the release notes",
        command="sleep 0.8; git log --format='- %s' > NOTES.md && cat NOTES.md",
        notice="took the place that the cancelled task had left",
        promise=_completed,
    ),
    Act(
        name="hotfix",
        title="Fix the front page, now!",
        command="echo 'Welcome, everybody.' > index.txt && sleep 1 && git commit -qam 'Fix the greeting' && git log -1 --stat",
        options={"priority": Priority.URGENT, "exclusive": True},
        notice="urgent: queued last, ran first; exclusive: nobody else in the directory meanwhile",
        promise=_first_of_all,
    ),
)


def broken(played: Played) -> list[str]:
    """What did not go as the demo promises, a sentence each."""
    found = []
    for act in ACTS:
        task = played[act.name]
        if (wrong := act.promise(task, played)) is not None:
            found.append(f"task {task.id} ({act.title}) {wrong}")
    return found
