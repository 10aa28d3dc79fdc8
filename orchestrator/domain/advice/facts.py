"""What rules are told: bounded samples of what happened, and how things stand. Times in ms."""

import re
from typing import Any, Final

from msgspec import Struct

from orchestrator.domain.principal import EVERYWHERE, PathScope
from orchestrator.domain.records import Schedule
from orchestrator.domain.task import Millis
from worker_client.contract.enums import AttemptOutcome, Status
from worker_client.contract.reports import TaskError

_VARIES: Final = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|[0-9]+")
_COMPARED: Final = 200
DECIDED: Final = (AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.EXPIRED)
"""Outcomes that say something about the work; released, parked and cancelled do not."""
TIMEOUT: Final = "Timeout"
LEASE_EXPIRED: Final = "LeaseExpired"


class Try(Struct, frozen=True, kw_only=True):
    """An attempt that has ended, and of its task what tells which are like it.

    `type` and `message`: of its error; `reason`: why it was given back; `waited_ms`: how long the task had been
    ready when it began, where that is still known.
    """

    task_id: int
    attempt: int
    outcome: AttemptOutcome
    path: str
    host: str = ""
    kind: str = "agent"
    worker_id: str = ""
    agent: str = ""
    started_at: Millis
    ended_at: Millis
    type: str = ""
    message: str = ""
    reason: str = ""
    cost_usd: float = 0.0
    title: str | None = None
    schedule_id: int | None = None
    workflow_id: str | None = None
    step_id: str | None = None
    timeout_ms: Millis = 3_600_000
    exclusive: bool = False
    waited_ms: Millis | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended without success."""
        return self.outcome in {AttemptOutcome.FAILED, AttemptOutcome.EXPIRED}

    @property
    def took_ms(self) -> Millis:
        """How long it ran."""
        return max(0, self.ended_at - self.started_at)

    @property
    def like(self) -> tuple[Any, ...]:
        """What tasks of the same work have in common."""
        if self.step_id is not None:
            return ("step", self.workflow_id, self.step_id, self.path)
        if self.schedule_id is not None:
            return ("schedule", self.schedule_id, self.path)
        return ("title", self.title, self.kind, self.path)

    @property
    def work(self) -> str:
        """The same in words."""
        if self.step_id is not None:
            return f"step {self.step_id} in {self.path}"
        if self.schedule_id is not None:
            return f"the work of schedule {self.schedule_id} in {self.path}"
        return f"{brief(self.title)!r} in {self.path}" if self.title else f"{self.kind} tasks in {self.path}"


class Line(Struct, frozen=True):
    """A line of what an attempt said; `number`: within the task's output, None: of its error; `late`: near the end."""

    text: str
    number: int | None = None
    late: bool = True


class TaskFacts(Struct, frozen=True, kw_only=True):
    """A task, its attempts with the last one last, what the last one said, and attempts of others in its directory."""

    id: int
    status: Status
    path: str = ""
    kind: str = "agent"
    timeout_ms: Millis = 3_600_000
    max_attempts: int = 4
    reason: str | None = None
    hold: str | None = None
    error: TaskError | None = None
    tries: list[Try] = []
    lines: list[Line] = []
    others: list[Try] = []

    @property
    def last(self) -> Try | None:
        """The last attempt that failed."""
        return next((one for one in reversed(self.tries) if one.failed), None)

    @property
    def alike(self) -> list[Try]:
        """Attempts of other tasks of the same work; of its kind in its directory, when there are too few of those."""
        if not self.tries:
            return []
        same = [one for one in self.others if one.like == self.tries[-1].like]
        return same if len(same) >= 5 else [one for one in self.others if one.kind == self.kind]


class Waiting(Struct, frozen=True, kw_only=True):
    """A directory with work that waits: since when the first of it does, and whether anybody asks for that."""

    path: str
    host: str
    waiting: int
    task_id: int
    kind: str
    since: Millis
    asked: bool
    tags: tuple[str, ...] = ()
    agent: str = ""
    paused: bool = False


class Question(Struct, frozen=True, kw_only=True):
    """A task that waits for a person."""

    task_id: int
    path: str
    host: str
    hold: str
    since: Millis
    question: str = ""


class Spending(Struct, frozen=True):
    """What a directory cost today, and on average on those of the seven days before on which it cost anything."""

    path: str
    today_usd: float
    usual_usd: float
    days: int


class WholeFacts(Struct, frozen=True, kw_only=True):
    """The latest attempts of the last day and of the week before, newest first, and how things stand.

    `within`: the directories that were asked about. `limited`: those below which no more than some tasks may run.
    """

    now: Millis
    wall: Millis = 0
    within: PathScope = EVERYWHERE
    recent: list[Try] = []
    before: list[Try] = []
    schedules: list[Schedule] = []
    waiting: list[Waiting] = []
    questions: list[Question] = []
    limited: dict[str, int] = {}
    spending: list[Spending] = []


def brief(text: str | None, most: int = 80) -> str:
    """The beginning of a text, in one line, as it may be shown."""
    words = " ".join(plain(text or "").split())
    return words if len(words) <= most else f"{words[: most - 1]}…"


# Each piece excludes the next one's characters, so that no text makes it look twice.
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def plain(text: str) -> str:
    """A text without colours, and without characters that nobody sees."""
    return _UNSEEN.sub("", _ESCAPES.sub("", text))


def alike(message: str) -> str:
    """What messages of the same error have in common: numbers and addresses are left out."""
    return _VARIES.sub("#", message[:_COMPARED].lower())
