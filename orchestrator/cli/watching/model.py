"""What is known of the server, and what whoever watches has chosen: changed by answers and keys, drawn by `drawing`."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, field
from rich.text import Text

from orchestrator.cli.watching.words import plain
from worker_client.contract.statistics import Statistics
from worker_client.contract.tasks import Task

NEEDS: Final = "needs you"
RUNNING: Final = "running"
WAITING: Final = "waiting"
FAILED: Final = "failed"
SECTIONS: Final = (NEEDS, RUNNING, WAITING, FAILED)
MINUTES: Final = 30
"""That the graph of completed tasks shows."""


class Row(Struct):
    """A task that can be chosen. `note`: its last line of output, why it waits, its question, its error; `count`: of how many."""

    task: Task
    note: str = ""
    count: int = 1

    def matches(self, words: str) -> bool:
        """Whether all words are somewhere in it."""
        task = self.task
        text = f"{task.id} {task.title or task.prompt or ''} {task.work_directory} {task.host} {task.worker_id or ''} {self.note}"
        return all(word in text.casefold() for word in words.casefold().split())


class Prompt(Struct):
    """A line that is being written, or with `confirms` a question to be answered by y or n."""

    verb: str
    label: str
    task: Task | None = None
    text: str = ""
    confirms: bool = False


class Detail(Struct):
    """A task that is looked at; `back`: how many lines of its output are below what is shown."""

    task: Task
    why: str = ""
    lines: list[str] = []
    back: int = 0


class State(Struct):
    """All that is shown."""

    url: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    events: deque[Text] = field(default_factory=lambda: deque(maxlen=50))
    completed: deque[datetime] = field(default_factory=lambda: deque(maxlen=20_000))
    statistics: Statistics | None = None
    silent_since: float | None = None
    chosen: tuple[str, int] | None = None
    words: str = ""
    prompt: Prompt | None = None
    detail: Detail | None = None
    help: bool = False
    message: str = ""

    def shown(self, section: str) -> list[Row]:
        """The rows of a section that the filter leaves."""
        return [row for row in self.rows.get(section, []) if row.matches(self.words)]

    def _order(self) -> Iterator[tuple[str, Row]]:
        return ((section, row) for section in SECTIONS for row in self.shown(section))

    @property
    def row(self) -> Row | None:
        """The one that is chosen."""
        return next((row for section, row in self._order() if (section, row.task.id) == self.chosen), None)

    def move(self, steps: int) -> None:
        """Choose another row, so many further down."""
        order = [(section, row.task.id) for section, row in self._order()]
        if not order:
            self.chosen = None
            return
        place = order.index(self.chosen) if self.chosen in order else -1 if steps > 0 else 0
        self.chosen = order[max(0, min(len(order) - 1, place + steps))]

    def settle(self) -> None:
        """Keep to the task that was chosen, wherever it went; or choose the first."""
        order = [(section, row.task.id) for section, row in self._order()]
        if self.chosen not in order:
            moved = [one for one in order if self.chosen is not None and one[1] == self.chosen[1]]
            self.chosen = next(iter(moved or order), None)

    def said(self, task_id: int, line: str) -> None:
        """A running task has written a line."""
        for row in self.rows.get(RUNNING, []):
            if row.task.id == task_id:
                row.note = plain(line)

    def per_minute(self, now: datetime) -> list[int]:
        """Completed tasks in each of the last minutes, the present one last."""
        return counted(self.completed, now)


def counted(times: Iterable[datetime], now: datetime) -> list[int]:
    """How many of the times lie in each of the last minutes."""
    counts = [0] * MINUTES
    for at in times:
        ago = (now - at) // timedelta(minutes=1)
        if 0 <= ago < MINUTES:
            counts[MINUTES - 1 - ago] += 1
    return counts
