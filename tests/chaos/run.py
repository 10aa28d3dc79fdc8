"""A run: servers, clients and faults for some time, then peace, until all tasks have ended; and what the checker says of it."""

import asyncio
import contextlib
import itertools
import random
import sys
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tests.chaos.checker import QUIET_S, Checker, compare
from tests.chaos.clients import Client, Scene
from tests.chaos.facts import AwayError, Reading, event_ids, everything, whole
from tests.chaos.history import Ended, Entry, History, Log, Violation
from tests.chaos.link import Link
from tests.chaos.nemesis import Nemesis
from tests.chaos.people import Creator, Manager
from tests.chaos.readers import Loiterer, Reader
from tests.chaos.servers import running
from tests.chaos.workers import Quitter, Worker

DRAIN_S: Final = 90.0
LOOK_S: Final = 5.0
SLACK_S: Final = 1.2
"""After the database's clock was set back a server may be as far behind the others as it was since one said that it was alive."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is run. `folder`: for all that it leaves; `memory`: for a database server's files."""

    store: str
    seconds: float
    seed: int
    folder: Path
    memory: Path
    mutation: str = ""
    workers: int = 18
    creators: int = 5
    most: int = 150
    managers: int = 2
    changes: tuple[int, ...] = (4, 3, 2, 2)
    faults: tuple[str, ...] | None = None
    pace: float = 0.06
    say: float = 0.0
    quiet: float = QUIET_S


class Run:
    """One run, from the start to the verdict."""

    def __init__(self, plan: Plan, system: Any) -> None:
        self.plan = plan
        self.system = system
        self.log = Log(plan.folder / "history.jsonl")
        alone = plan.store == "sqlite"
        self.checker = Checker(strict=alone, slack=0 if alone else SLACK_S, quiet=plan.quiet)
        self.history = History(self.log.add, self._heard)
        self.completed = array("d")
        self.reading = Reading(system.facts)
        self.began = time.monotonic()
        self._chance = random.Random(plan.seed)
        self._names = itertools.count()
        self._tasks: dict[asyncio.Task[None], int] = {}

    async def go(self) -> list[Violation]:
        plan, servers = self.plan, [server.address for server in self.system.servers]
        links = [Link(address, random.Random(f"{plan.seed}{at}")) for at, address in enumerate(servers)]
        for link in links:
            await link.start()
        self.scene = scene = Scene(
            self.history, [*servers, *(link.address for link in links)], plan.seed, most=plan.most, pace=plan.pace
        )
        scene.changes, scene.retried = list(plan.changes), plan.quiet / 3
        self.feed = Reader(scene, "feed", addresses=servers, tells=True)
        self.readers = [self.feed, *(Reader(scene, f"reader{n}") for n in range(2))]
        self.history.listen(scene.hear)
        nemesis = self._nemesis = Nemesis(self.system, links, self.history, plan.seed, self._drop, plan.faults)
        beside: list[Awaitable[None]] = [reader.run() for reader in self.readers]
        beside += [Loiterer(scene, "loiterer").run(), self._look(), self._say()]
        others = self._others = [asyncio.ensure_future(one) for one in beside]
        try:
            await asyncio.wait_for(asyncio.gather(*(reader.begun.wait() for reader in self.readers)), 30)
            asking: list[Client] = [Creator(scene, f"creator{number}") for number in range(plan.creators)]
            asking += [*(Manager(scene, f"manager{number}") for number in range(plan.managers)), Quitter(scene, "quitter")]
            people = [asyncio.create_task(one.run()) for one in asking]
            others += people
            for number in range(plan.workers):
                self._hire(number)
            evil = asyncio.create_task(nemesis.run())
            self._began_faults = time.monotonic()
            await self._until(lambda: False, plan.seconds)
            self._ended_faults = time.monotonic()
            evil.cancel()
            await nemesis.stop_all()
            scene.creating = False
            self.note("the faults are over")
            await self._until(lambda: not scene.unfinished, DRAIN_S)
            scene.over = True
            if self.checker.violations:
                # What has not ended yet says nothing.
                return self.checker.violations
            await asyncio.wait([*people, *self._tasks], timeout=30)
            return await self._verdict()
        finally:
            for one in [*others, *self._tasks]:
                one.cancel()
            await asyncio.gather(*others, *self._tasks, return_exceptions=True)
            for link in links:
                await link.close()
            # What was broken off is let go of in the next steps of the loop.
            await asyncio.sleep(0.05)
            self.log.close()

    def longest_pause(self) -> float:
        """How long no completion was acknowledged while there were faults, and a database: s."""
        moments = [self._began_faults, *(at for at in self.completed if at < self._ended_faults), self._ended_faults]
        return max(
            after - before - sum(max(0.0, min(after, end) - max(before, began)) for began, end in self._nemesis.away)
            for before, after in pairwise(moments)
        )

    def _heard(self, entry: Entry) -> None:
        self.checker.take(entry)
        if isinstance(entry, Ended) and entry.call.op == "complete" and entry.call.outcome == "ok":
            self.completed.append(entry.call.ended or 0.0)

    async def _until(self, done: Any, seconds: float) -> None:
        """Until it is so, or for so long; no further once something is wrong."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done() and not self.checker.violations:
            await asyncio.sleep(0.2)
            for other in self._others:
                if other.done():
                    other.result()
            if self._nemesis.failed is not None:
                raise self._nemesis.failed
            for task in [task for task in self._tasks if task.done()]:
                number = self._tasks.pop(task)
                if not task.cancelled() and (error := task.exception()):
                    raise error
                if not self.scene.over:
                    self._hire(number)

    def _hire(self, number: int) -> None:
        worker = Worker(self.scene, number, f"worker{number}-{next(self._names)}")
        self._tasks[asyncio.create_task(worker.run())] = number

    def _drop(self) -> None:
        """Some workers are killed in the middle of whatever they do; others come in their place."""
        for task in self._chance.sample(list(self._tasks), min(4, len(self._tasks))):
            task.cancel()

    async def _look(self) -> None:
        """Compare with the database what has ended, and forget it."""
        while True:
            await asyncio.sleep(min(LOOK_S, self.plan.quiet / 2))
            with contextlib.suppress(AwayError):
                await asyncio.to_thread(self.reading.follow)
                if ids := self.checker.closable(time.monotonic()):
                    for facts in await asyncio.to_thread(self.reading.facts, ids):
                        story = self.checker.stories.get(facts.id)
                        if story is not None and [step.id for step in story.steps] == [step.id for step in facts.steps]:
                            self.checker.close(facts)
                            self.reading.forget(facts.id)

    async def _verdict(self) -> list[Violation]:
        """What the database holds in the end; the readers have some seconds to catch up with it."""
        database = self.system.facts
        kept = await asyncio.to_thread(event_ids, database)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while any(len(reader.ids) == 0 or reader.ids[-1] < kept[-1] for reader in self.readers):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.1)
        self.checker.finish(everything(database))
        self.checker.blame(await asyncio.to_thread(lambda: list(whole(database))))
        for reader in self.readers:
            self.checker.blame(compare(reader.name, reader.ids, kept))
            self.checker.blame(Violation("feed", f"{reader.name} was told to begin again: {reset}") for reset in reader.resets)
        self.note("the end")
        return self.checker.violations

    # What is said

    async def _say(self) -> None:
        while self.plan.say:
            await asyncio.sleep(self.plan.say)
            self.note("")

    def note(self, words: str) -> None:
        """One line of how it stands."""
        if self.plan.say:
            sys.stdout.write(
                f"{time.monotonic() - self.began:6.0f} s {self.plan.store}: {sum(self.history.counts.values())} calls, "
                f"{self.history.told} events, {len(self.checker.closed)} tasks checked, {len(self.scene.unfinished)} unfinished, "
                f"{len(self.checker.violations)} violations, faults {dict(self.history.faults)} {words}\n"
            )
            sys.stdout.flush()

    def summary(self) -> Iterator[str]:
        """What took place, in lines."""
        ops: dict[str, Counter[str]] = {}
        for (op, outcome), count in sorted(self.history.counts.items()):
            ops.setdefault(op, Counter())[outcome] += count
        checker, took = self.checker, time.monotonic() - self.began
        yield f"{self.plan.store}, seed {self.plan.seed}, {took:.0f} s: {len(checker.violations)} violations"
        yield f"  {len(checker.closed)} tasks, {self.history.told} events, {checker.ranking.compared} claims compared by rank"
        yield "  faults: " + ", ".join(f"{name} {count}" for name, count in sorted(self.history.faults.items()))
        for op, outcomes in ops.items():
            yield f"  {op}: " + ", ".join(f"{outcome} {count}" for outcome, count in outcomes.items())
        for violation in self.checker.violations:
            yield f"VIOLATION {violation}"


async def run(plan: Plan) -> Run:
    """Run it, with servers of its own."""
    async with running(plan.store, plan.folder, plan.memory, plan.mutation) as system:
        one = Run(plan, system)
        await one.go()
        return one
