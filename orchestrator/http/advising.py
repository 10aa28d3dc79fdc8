"""From what is stored, and who asks for work, to what the rules of advice are told."""

from typing import Any

import msgspec

from orchestrator.domain.advice import tasks, whole
from orchestrator.domain.advice.facts import Waiting, WholeFacts
from orchestrator.domain.principal import EVERYWHERE, PathScope
from orchestrator.domain.task import Head, Millis
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.conditions import Condition, all_of, asked, within
from worker_client.contract.advice import Advice, ListAdvice, TaskAdvice


async def of_task(queue: Queue, head: Head, visible: PathScope) -> TaskAdvice:
    """Why a task failed that the asker sees."""
    return tasks.of_task(await queue.reads.task_facts(head, visible))


async def of_all(queue: Queue, query: ListAdvice, visible: PathScope, wall: Millis) -> list[Advice]:
    """What to change, of what the asker sees; paths must be canonical, `wall` is of the clock that schedules follow."""
    patterns = asked(query.work_path, recursive=query.recursive)

    def where(column: str) -> Condition:
        return all_of([within(patterns, column), within(visible.patterns, column)])

    reads, now = queue.reads, queue.now()
    recent, before = await reads.latest_tries(now, where("a.path"))
    facts = WholeFacts(
        now=now,
        wall=wall,
        within=EVERYWHERE if patterns is None else PathScope(tuple(patterns)),
        recent=recent,
        before=before,
        schedules=await reads.soonest_schedules(visible),
        waiting=[_waiting(row, queue) for row in await reads.first_waiting_of(where("path"))],
        questions=await reads.questions(where("t.path")),
        limited=await reads.limited_directories(visible),
        spending=await reads.spending(now, where("path")),
    )
    return whole.of_all(facts, query.code)


def _waiting(row: tuple[Any, ...], queue: Queue) -> Waiting:
    path, host, waiting, task_id, kind, tags, agent, since = row
    labels = tuple(msgspec.json.decode(tags))
    asks = queue.presence.asks_for(path, host, kind, labels, queue.now(), agent=agent)
    return Waiting(path=path, host=host, waiting=waiting, task_id=task_id, kind=kind, since=since, asked=asks)
