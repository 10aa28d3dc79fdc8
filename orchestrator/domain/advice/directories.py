"""Directories whose work waits: longer than it runs, for nobody, for a person."""

from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from orchestrator.domain.advice.facts import Try, WholeFacts, brief
from orchestrator.domain.advice.telling import advice, examples
from orchestrator.domain.paths import ancestors
from worker_client.contract.advice import Advice, Evidence

_SAMPLES: Final = 20
_TIMES: Final = 2
_LEAST_WAIT_S: Final = 60
_MOSTLY: Final = 0.5
_UNASKED_MS: Final = 10 * 60_000
"""After so long without a question a worker counts as gone."""
_UNANSWERED_MS: Final = 4 * 3_600_000


def waits_long(facts: WholeFacts) -> Iterator[Advice]:
    """Where work of the last day waited more than twice as long as it ran (medians), and why."""
    directories: dict[str, list[Try]] = {}
    for one in facts.recent:
        if one.waited_ms is not None and one.attempt == 1:
            directories.setdefault(one.path, []).append(one)
    for path, some in directories.items():
        waits = median(max(0, one.waited_ms or 0) for one in some) / 1000
        runs = median(one.took_ms for one in some) / 1000
        if len(some) >= _SAMPLES and waits >= _LEAST_WAIT_S and waits > _TIMES * runs:
            told: dict[str, Any] = {"path": path, "waits_seconds": waits, "runs_seconds": runs, "samples": len(some)}
            yield _because(some, told, facts)


def _because(some: list[Try], told: dict[str, Any], facts: WholeFacts) -> Advice:
    longest = examples(sorted(some, key=lambda one: -(one.waited_ms or 0)))
    limits = [facts.limited[above] for above in ancestors(told["path"]) if above in facts.limited]
    if limits and most_at_once(some) >= min(limits):
        return advice("waits_for_limit", longest, about=some[0], **told, max_running=min(limits))
    exclusive = sum(one.exclusive for one in some) / len(some)
    if exclusive >= _MOSTLY:
        return advice("waits_for_exclusive", longest, about=some[0], **told, exclusive_share=exclusive)
    workers = len({one.worker_id for one in some})
    return advice("waits_for_workers", longest, about=some[0], **told, workers=workers)


def most_at_once(some: list[Try]) -> int:
    """How many of the attempts ran side by side at most."""
    steps = sorted([(one.started_at, 1) for one in some] + [(one.ended_at, -1) for one in some])
    running = most = 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most


def nobody_asks(facts: WholeFacts) -> Iterator[Advice]:
    """Where tasks have waited for ten minutes, and no worker asks for the first of them."""
    for one in facts.waiting:
        waited = facts.now - one.since
        if one.asked or waited < _UNASKED_MS:
            continue
        made = advice(
            "nobody_asks",
            [Evidence(text=f"task {one.task_id} waits first, since {waited // 1000} s", task_id=one.task_id)],
            path=one.path,
            waiting=one.waiting,
            waited_seconds=waited / 1000,
            kind=one.kind,
        )
        made.work_directory, made.host, made.task_id = one.path, one.host or None, one.task_id
        yield made


def unanswered(facts: WholeFacts) -> Iterator[Advice]:
    """Who has waited for a person for four hours, the longest first."""
    for one in sorted(facts.questions, key=lambda question: question.since):
        waited = facts.now - one.since
        if waited >= _UNANSWERED_MS:
            asked = brief(one.question, 300) or "it waits for an approval"
            evidence = [Evidence(text=f"{one.hold}: {asked}", task_id=one.task_id)]
            made = advice("unanswered", evidence, task_id=one.task_id, waited_seconds=waited / 1000, hold=one.hold)
            made.work_directory, made.host, made.task_id = one.path, one.host or None, one.task_id
            yield made
