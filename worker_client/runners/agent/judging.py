"""From what came of a run to what is reported of it, and the facts that are kept with the attempt."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from worker_client.contract.enums import ParkReason
from worker_client.contract.reports import Usage
from worker_client.runners.agent.protocol import Assignment, Class, Launch, Report, Verdict
from worker_client.runners.agent.running import Run
from worker_client.runners.outcomes import Failed, Outcome, Parked, Released

MOST_TEXT: Final = 100_000
"""Characters of the final text that are kept."""
MOST_LEVELS: Final = 50
"""What is nested more deeply is a text only: a server might refuse the whole report for it, as it does for a NUL."""
_NUL: Final = "\\u0000"
MOST_MESSAGE: Final = 10_000
MOST_DENIALS: Final = 100
LATEST: Final = timedelta(days=32)
"""No account's limit lasts longer; who says so has a broken clock."""
_SECRET: Final = re.compile(r"key|token|secret|password|auth", re.IGNORECASE)
_GIVEN: Final = re.compile(rf"((?:{_SECRET.pattern})[\w-]*[\"']?\s*[=:]).*", re.IGNORECASE | re.DOTALL)
"""From a name that sounds secret, with its value, to the end of the argument."""
_FENCED: Final = re.compile(r"```(?:json)?\n(.*)\n```", re.DOTALL)
_PARKS: Final = {Class.QUOTA: ParkReason.QUOTA, Class.BUDGET: ParkReason.BUDGET}
_SAID: Final = frozenset({Class.QUOTA, Class.BUDGET, Class.AUTH})
"""What it was silent after is then why."""
_TYPES: Final = {Class.KILLED: "Killed", Class.NO_EVIDENCE: "NoEvidence"}


def result_of(ending: "Ending") -> dict[str, Any]:
    """What a task that is done has as its result: the agent's last words, and as `json` what they say if they are JSON."""
    text = ending.report.final_text
    result = {"text": text[:MOST_TEXT], "session_id": ending.report.session_id, "agent": ending.agent}
    fenced = _FENCED.fullmatch(text.strip())
    try:
        said = msgspec.json.decode(fenced[1] if fenced else text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return result
    kept = isinstance(said, dict | list) and len(text) <= MOST_TEXT and _NUL not in text and _shallow(said, MOST_LEVELS)
    return result | {"json": said} if kept else result


def _shallow(value: Any, levels: int) -> bool:
    parts: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_shallow(part, levels - 1) for part in parts)


class Ending(Struct, kw_only=True):
    """A run that has ended, as far as the reader understood it."""

    agent: str
    account: str | None
    run: Run
    report: Report
    verdict: Verdict
    evidence: dict[str, Any]

    @property
    def usage(self) -> Usage:
        """What the run used; the time it took when it doesn't say so itself."""
        used = self.report.usage
        return used if used.duration_ms else structs.replace(used, duration_ms=self.run.duration_ms)


def judged(ending: Ending) -> Outcome | None:
    """What to report; None when the agent is done, as far as it says."""
    run, verdict, evidence = ending.run, ending.verdict, ending.evidence
    if verdict.outcome is Class.DONE:
        return None
    message = verdict.message.strip()[:MOST_MESSAGE]
    if run.ended.exceeded:
        return _failed(ending, "MemoryLimit", run.told_end)
    if run.stalled and verdict.outcome not in _SAID:
        words = f"silent for {run.stall_seconds:g} s, so it was ended; it last said: {message or run.tail[-500:]}"
        return _failed(ending, "Stalled", words, outcome="stalled")
    unable = _unable(ending)
    if unable is not None:
        return Released(f"{ending.agent} {unable}: {message}", stop=True, usage=ending.usage, evidence=evidence)
    if verdict.outcome in _PARKS:
        return _parked(ending, _PARKS[verdict.outcome], message)
    words = message or f"it said nothing about how it went, and {run.told_end or 'was stopped'}"
    return _failed(ending, _TYPES.get(verdict.outcome, "AgentFailed"), words)


def _unable(ending: Ending) -> str | None:
    """Why no other task would fare better."""
    if ending.verdict.outcome is Class.AUTH:
        return "isn't allowed to work"
    unheard = ending.report.session_id is None and ending.verdict.outcome is Class.NO_EVIDENCE
    return "can't be started" if unheard and ending.run.ended.exit_code in {126, 127} else None


def _failed(ending: Ending, kind: str, message: str, **facts: str) -> Failed:
    return Failed(
        type=kind,
        message=message,
        details={**ending.verdict.details, "output_tail": ending.run.tail},
        retryable=ending.verdict.retryable,
        usage=ending.usage,
        evidence={**ending.evidence, **facts},
    )


def _parked(ending: Ending, reason: ParkReason, message: str) -> Parked:
    return Parked(
        reason=reason,
        not_before=_soon(ending.verdict.resets_at),
        account=ending.account if reason is ParkReason.QUOTA else None,
        session_id=ending.report.session_id,
        agent=ending.agent,
        message=message,
        usage=ending.usage,
        evidence=ending.evidence,
    )


def _soon(at: datetime | None) -> datetime | None:
    """One that is over already is taken for a minute from now, since clocks differ; one that can't be is not believed."""
    now = datetime.now(UTC)
    if at is None or at > now + LATEST:
        return None
    return at if at > now else now + timedelta(minutes=1)


def evidence_of(agent: str, assignment: Assignment, launch: Launch, run: Run, report: Report, verdict: Verdict) -> dict[str, Any]:
    """Facts about the attempt; only those that apply."""
    facts = {
        "agent": agent,
        "version": report.version,
        "argv": without_secrets(launch.argv, assignment.prompt),
        "session_id": report.session_id,
        "pid": run.pid,
        "started_at": run.started_at.isoformat(),
        "cwd": assignment.directory,
        "outcome": str(verdict.outcome),
        "exit_code": run.ended.exit_code,
        "signal": run.ended.signal,
        "not_before": verdict.resets_at and verdict.resets_at.isoformat(),
        "denials": report.denials[:MOST_DENIALS],
    }
    return {name: fact for name, fact in facts.items() if fact not in (None, [])}


def without_secrets(argv: Sequence[str], prompt: str) -> list[str]:
    """A command line as it may be shown: what is given to a name that sounds secret, and the prompt, left out."""
    shown, hide = [], False
    for argument in argv:
        text = argument.replace(prompt, "{prompt}")
        shown.append("***" if hide else _GIVEN.sub(r"\1***", text)[:1000])
        hide = text.startswith("-") and "=" not in text and _SECRET.search(text) is not None
    return shown
