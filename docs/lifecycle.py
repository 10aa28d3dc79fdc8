"""Writes docs/lifecycle.md from the lifecycle table: `python -m docs`."""

from orchestrator.domain.lifecycle import DERIVED, LEASED, TRANSITIONS, Verb
from worker_client.contract.enums import Status

MEANINGS = {
    Status.WAITING: "somebody who asks for its directory gets it",
    Status.SCHEDULED: "due later: `run_at`, a backoff, a `not_before`",
    Status.BLOCKED: "a task that it depends on has not completed",
    Status.RUNNING: "leased to a worker",
    Status.PARKED: "waits for something outside: a quota, a budget, an answer, an approval",
    Status.COMPLETED: "done",
    Status.FAILED: "its attempts are used up",
    Status.CANCELLED: "somebody did not want it any more, or a dependency failed",
}
ACTORS = {
    **dict.fromkeys(LEASED, "worker"),
    **dict.fromkeys((Verb.CLAIM,), "worker"),
    **dict.fromkeys((Verb.UNDELIVER, Verb.EXPIRE, Verb.PROMOTE, Verb.SATISFY, Verb.ORPHAN, Verb.REVIVE), "server"),
}


def page() -> str:
    """The whole page."""
    return "\n".join([
        "# The life of a task",
        "",
        "<!-- Written by docs/lifecycle.py from orchestrator/domain/lifecycle.py; a test compares them. -->",
        "",
        "| status | means |",
        "| --- | --- |",
        *(f"| `{status}` | {MEANINGS[status]} |" for status in Status),
        "",
        "A task that neither runs nor has ended is *blocked*, else *parked*, else *scheduled*, else *waiting*: open",
        "dependencies, a hold and a due time are separate facts, and one function derives the status from them in this order.",
        "",
        "| what happens | who does it | from | to |",
        "| --- | --- | --- | --- |",
        *(
            f"| {verb} | {ACTORS.get(verb, 'person')} | {_names({before})} | {_names(after) or 'gone'} |"
            for verb, rows in TRANSITIONS.items()
            for before, after in _merged(rows)
        ),
        "",
        "Everything else is refused: with `LEASE_LOST` when a worker reports on a lease that is not the current one, with",
        "`CONFLICT` otherwise.",
        "",
        "```mermaid",
        *diagram(),
        "```",
        "",
    ])  # fmt: skip


def diagram() -> list[str]:
    """A Mermaid state diagram: an arrow per pair of statuses, with all the verbs that take it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for verb, rows in TRANSITIONS.items():
        for before, targets in rows.items():
            for after in sorted(targets):
                if before is not after:
                    arrows.setdefault((str(before), str(after)), []).append(str(verb))
    lines = ["stateDiagram-v2", *(f"    [*] --> {status}: create" for status in sorted(DERIVED))]
    return [*lines, *(f"    {before} --> {after}: {', '.join(verbs)}" for (before, after), verbs in sorted(arrows.items()))]


def _merged(rows: object) -> list[tuple[Status, frozenset[Status]]]:
    return sorted(dict(rows).items())  # type: ignore[call-overload]


def _names(statuses: object) -> str:
    return ", ".join(f"`{status}`" for status in sorted(statuses))  # type: ignore[call-overload]
