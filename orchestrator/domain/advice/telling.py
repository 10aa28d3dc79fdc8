"""From the facts of a rule to advice in words."""

from collections.abc import Sequence
from typing import Any

from orchestrator.domain.advice.catalogue import CATALOGUE
from orchestrator.domain.advice.facts import Try, brief
from orchestrator.domain.advice.words import duration, needs, said
from worker_client.contract.advice import Advice, Confidence, Evidence

_POSSIBLY = 20
"""So much less does that weigh which is one reading of the evidence."""


def advice(
    code: str,
    evidence: Sequence[Evidence],
    *,
    confidence: Confidence = Confidence.CERTAIN,
    about: Try | None = None,
    **facts: Any,
) -> Advice:
    """Advice of a code of the catalogue; `about`: an attempt whose directory it concerns."""
    entry = CATALOGUE[code]
    message = entry.message if all(facts.get(name) is not None for name in needs(entry.message)) else entry.without
    less = _POSSIBLY if confidence is Confidence.POSSIBLE else 0
    return Advice(
        code=code,
        message=said(message or entry.message, facts),
        suggestion=said(entry.suggestion, facts),
        weight=max(1, entry.weight - less),
        confidence=confidence,
        facts=facts,
        evidence=list(evidence),
        work_directory=None if about is None else about.path,
    )


def told(one: Try) -> Evidence:
    """An attempt as evidence."""
    how = f"{one.outcome} after {duration(one.took_ms / 1000)}"
    error = f": {brief(f'{one.type}: {one.message}', 200)}" if one.type or one.message else ""
    worker = f" on {brief(one.worker_id)}" if one.worker_id else ""
    return Evidence(text=f"attempt {one.attempt} {how}{worker}{error}", attempt=one.attempt, task_id=one.task_id)


def examples(some: Sequence[Try], most: int = 3) -> list[Evidence]:
    """The first of several attempts."""
    return [told(one) for one in some[:most]]
