"""From a history to the promises that were broken in it. It reads entries one by one and forgets tasks that have ended."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from tests.chaos.history import Call, Ended, Entry, Sent, Told, Trouble, Violation
from tests.chaos.holding import Holding
from tests.chaos.ranking import Ranking
from tests.chaos.story import Facts, Story, verify
from worker_client.contract.enums import FINAL

QUIET_S: Final = 12.0
"""After that nothing more is to come for a task that has ended, unless a call for it is on its way without an answer."""
IN_DOUBT_S: Final = 30.0
GONE_S: Final = 1.0
"""So long after an asker has hung up, the server knows."""
_CREATES: Final = {"create", "batch"}
_MOST: Final = 50


class Checker:
    """`strict`: no answer may be an internal error; `slack`: s by which the clocks of servers may differ; `quiet`: s."""

    def __init__(self, *, strict: bool = False, slack: float = 0.0, quiet: float = QUIET_S) -> None:
        self.violations: list[Violation] = []
        self.stories: dict[int, Story] = {}
        self.closed: dict[int, tuple[str, int]] = {}
        """Tasks that were looked at and are forgotten: their status and the number of their events."""
        self.holding = Holding(self.stories, slack)
        self.ranking = Ranking(self.stories)
        self._strict = strict
        self._quiet = quiet
        self._keys: dict[str, int] = {}
        self._first_asked: dict[str, float] = {}
        self._last_id = 0
        self._askers: dict[str, tuple[int, float]] = {}
        self._troubled = 0.0
        self._troubles = 0

    def take(self, entry: Entry) -> None:
        """The next entry."""
        match entry:
            case Sent():
                found = self._sent(entry.call)
            case Ended():
                found = self._ended(entry.call)
            case Told():
                found = self._told(entry)
            case Trouble():
                self._troubles += -1 if entry.over else 1
                self._troubled = entry.at
                return
        self.blame(found)

    def blame(self, found: Iterable[Violation]) -> None:
        for one in found:
            if len(self.violations) < _MOST:
                self.violations.append(one)

    def _story(self, task_id: int) -> Story:
        return self.stories.get(task_id) or self.stories.setdefault(task_id, Story(task_id))

    def _named(self, call: Call) -> list[Story]:
        """The tasks that a call names, without those of which nothing more is to come: the feed would tell what it did."""
        return [self._story(task_id) for task_id in call.touches if task_id not in self.closed]

    # Calls

    def _sent(self, call: Call) -> Iterator[Violation]:
        for story in self._named(call):
            story.open[call.number] = call
        self.holding.sent(call)
        if call.op == "create" and (key := call.args.get("key")):
            self._first_asked.setdefault(key, call.sent)
        if call.op == "claim":
            open_polls, _ = self._askers.get(call.who, (0, 0.0))
            self._askers[call.who] = open_polls + 1, 0.0
        yield from ()

    def _ended(self, call: Call) -> Iterator[Violation]:
        assert call.ended is not None
        if call.status >= 500 and call.status != 503 and self._strict:
            yield Violation("error", f"{call.op} was answered {call.status}", (call,))
        for story in self._named(call):
            story.open.pop(call.number, None)
            story.last = call.ended + (IN_DOUBT_S - self._quiet if call.outcome == "unknown" else 0)
            story.spans = [span for span in story.spans if span[1] > call.ended - 60]
            story.spans.append((call.sent, call.ended + (IN_DOUBT_S if call.outcome == "unknown" else 0)))
            if call.op not in _CREATES and (call.applied or call.outcome == "unknown"):
                story.calls.append(call)
        if call.op in _CREATES and call.outcome == "ok":
            yield from self._created(call)
        elif call.op == "claim":
            yield from self._claimed(call)
        yield from self.holding.ended(call)

    def _created(self, call: Call) -> Iterator[Violation]:
        for task in call.data:
            if task["id"] in self.closed:
                # Created by a call whose answer was lost, and over since: this is the answer to the same one again.
                continue
            story = self._story(task["id"])
            if story.acknowledged is None:
                story.acknowledged, story.spec = call.ended, task
                story.born = self._first_asked.get(task.get("key") or "", call.sent)
                self.ranking.created(task)
            key = task.get("key")
            if key and self._keys.setdefault(key, story.id) != story.id:
                yield Violation("key", f"key {key} stands for tasks {self._keys[key]} and {story.id}", (call,))

    def _claimed(self, call: Call) -> Iterator[Violation]:
        asked, _ = self._askers[call.who]
        self._askers[call.who] = asked - 1, 0.0 if call.outcome in {"ok", "refused"} else call.ended or 0.0
        for task in call.data if call.outcome == "ok" else ():
            story = self._story(task["id"])
            story.spec = story.spec or task
            yield from self.ranking.claimed(task, call, self.holding.asked(call))

    # The feed

    def _told(self, event: Told) -> Iterator[Violation]:
        if event.id <= self._last_id:
            yield Violation("feed", f"event {event.id} was told after {self._last_id}", (event,))
        self._last_id = event.id
        if not event.task_id:
            return
        if event.task_id in self.closed:
            yield Violation("after", f"task {event.task_id} had ended, and nobody asked for {event.type}", (event,))
            return
        story = self._story(event.task_id)
        number = story.lease_no
        yield from story.told(event)
        yield from self.holding.told(event, number)
        yield from self.ranking.told(event)
        if event.type == "task.claimed":
            self._given(story, event)
        elif event.type == "task.expired" and story.gone is not None and not self._troubles and self._troubled < story.gone:
            yield Violation("gone", f"task {story.id} was given to an asker that had hung up, and lost until its lease ended",
                            (event, *story.steps))  # fmt: skip

    def _given(self, story: Story, event: Told) -> None:
        """Remember since when the asker of a lease has been gone, if it was when the task came to be."""
        asked, gone = self._askers.get(event.data.get("worker_id", ""), (1, 0.0))
        born = story.born
        story.gone = gone if not asked and gone and born is not None and born > gone + GONE_S else None

    # Ends

    def closable(self, now: float, most: int = 300) -> list[int]:
        """Tasks that have ended and of which nothing more is to come: look into the database, and `close` them."""
        found = []
        for story in self.stories.values():
            if story.settled(now, self._quiet):
                found.append(story.id)
                if len(found) == most:
                    break
        return found

    def close(self, facts: Facts) -> None:
        """What the database holds of a task that has ended: compared, and forgotten."""
        story = self.stories[facts.id]
        told, kept = [step.id for step in story.steps], [step.id for step in facts.steps]
        if told != kept:
            missing, more = sorted(set(kept) - set(told)), sorted(set(told) - set(kept))
            self.blame([Violation("feed", f"of task {facts.id} the feed did not tell {missing}, and told {more} more",
                                  tuple(facts.steps))])  # fmt: skip
        self.blame(verify(story, facts))
        self.closed[facts.id] = str((facts.row or {}).get("status")), len(facts.steps)
        if story.spec and story.spec.get("key"):
            self._keys.pop(story.spec["key"], None)
            self._first_asked.pop(story.spec["key"], None)
        self.forget(facts.id)

    def forget(self, task_id: int) -> None:
        """Nothing more is to come for a task."""
        self.stories.pop(task_id, None)
        self.holding.forget(task_id)
        self.ranking.forget(task_id)

    def finish(self, facts: Iterable[Facts]) -> None:
        """All is over: every task that is known must have ended, and none may be there that nobody knows."""
        for one in facts:
            if one.id in self.stories:
                if one.row is not None and one.row["status"] not in FINAL:
                    self.blame([Violation("endless", f"task {one.id} never ended: {one.row}", tuple(one.steps))])
                self.close(one)
            elif self.closed.get(one.id) != (str((one.row or {}).get("status")), len(one.steps)):
                self.blame(
                    [Violation("after", f"task {one.id} was {self.closed.get(one.id)}, but is {one.row}", tuple(one.steps))]
                )
        for task_id in list(self.stories):
            self.close(Facts(task_id, None, [], []))


def compare(reader: str, told: Sequence[int], kept: Sequence[int]) -> Iterator[Violation]:
    """Whether a reader was told of all events from its first on, once and in order."""
    if list(told) == sorted(set(told)) and set(told) == {number for number in kept if told and number >= told[0]}:
        return
    doubled = [after for before, after in pairwise(told) if after <= before]
    missed = sorted({number for number in kept if told and number >= told[0]} - set(told))
    words = f"{reader} was told of {len(told)} events of {len(kept)}: missed {missed[:10]}, out of order or twice {doubled[:10]}"
    yield Violation("feed", words)


def check(entries: Iterable[Entry], facts: Iterable[Facts] = ()) -> list[Violation]:
    """All violations of a whole history, with what the database held in the end."""
    checker = Checker(strict=True)
    for entry in entries:
        checker.take(entry)
    checker.finish(facts)
    return checker.violations
