"""Why an attempt failed, by how it ended and by what its runner says; what it printed is read besides."""

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.domain.advice.facts import Line, TaskFacts, brief
from orchestrator.domain.advice.symptoms import symptoms
from orchestrator.domain.advice.telling import advice, told
from worker_client.contract.advice import Advice, Confidence, Evidence
from worker_client.contract.enums import AttemptOutcome
from worker_client.contract.reports import TaskError

_OF_TYPES: Final = {
    "MemoryLimit": "memory_limit",
    "VerifyFailed": "verify_failed",
    "Stalled": "agent_silent",
    "NoEvidence": "agent_unclear",
    "InvalidSpec": "invalid_spec",
    "ResultRefused": "result_refused",
    "ResultNotJson": "result_refused",
}
"""Types of errors that say it all."""
_CRASHES: Final = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP"}
_OF_STATUS: Final = {401: "http_unauthorized", 403: "http_forbidden", 404: "http_not_found", 429: "http_rate_limited"}
_OF_HOLDS: Final = {"quota": "agent_quota", "budget": "agent_budget"}
_OF_AGENTS_THEMSELVES: Final = {"agent_auth", "agent_missing", "agent_quota"}
_SIGNALS: Final = {134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
"""As a shell tells of a program that a signal ended: 128 and the number of the signal."""
_LATE: Final = 20
_READ: Final = 4_000
_OF_AGENTS: Final = 10
"""The last lines of an agent's output that are read: before them it talks of whatever it works on."""


def ended(facts: TaskFacts) -> Iterator[Advice]:
    """By the type of the error, its exit code or signal, and the status of an answer."""
    last, error = facts.last, facts.error
    if last is None or error is None:
        return
    evidence = [told(last)]
    if (code := _OF_TYPES.get(error.type)) is not None:
        yield advice(code, evidence)
    status = error.details.get("status")
    if error.type == "HttpStatus" and isinstance(status, int):
        yield _answered(status, evidence)
    yield from _program(error, evidence)


def _answered(status: int, evidence: list[Evidence]) -> Advice:
    code = _OF_STATUS.get(status) or ("http_server_error" if 500 <= status < 600 else "http_status")
    return advice(code, evidence, status=status)


def _program(error: TaskError, evidence: list[Evidence]) -> Iterator[Advice]:
    code, signal = error.details.get("exit_code"), error.details.get("signal")
    if code == 127:
        yield advice("command_not_found", evidence, command=None)
    elif code == 126:
        yield advice("not_executable", evidence)
    ended_by = signal if isinstance(signal, str) else _SIGNALS.get(code) if isinstance(code, int) else None
    if ended_by is not None and error.type != "MemoryLimit":
        yield advice("crashed" if ended_by in _CRASHES else "killed", evidence, signal=brief(ended_by))


def read(facts: TaskFacts) -> Iterator[Advice]:
    """By what the attempt printed, its error being the last that it said."""
    if facts.last is None:
        return
    lines = facts.lines
    if facts.kind == "agent":
        lines = lines[-_OF_AGENTS:]
    late = len(lines) - _LATE
    shown = [Line(line.text, line.number, late=at >= late) for at, line in enumerate(lines)]
    yield from symptoms([*_details(facts.error), *shown, *_message(facts.error)])


def _message(error: TaskError | None) -> list[Line]:
    return [] if error is None else [Line(part) for part in error.message[:_READ].splitlines()]


def _details(error: TaskError | None) -> list[Line]:
    """The end of the output, as the runner had it: it may be all there is."""
    tail: Any = None if error is None else error.details.get("output_tail")
    return [Line(part) for part in tail[-_READ:].splitlines()] if isinstance(tail, str) else []


def held(facts: TaskFacts) -> Iterator[Advice]:
    """What the task waits for that an agent ran into, why it was given back, or what cancelled it."""
    code = _OF_HOLDS.get(facts.hold or "")
    if code is not None:
        yield advice(code, [Evidence(text=brief(facts.reason or f"parked: {facts.hold}", 200))])
    last = facts.tries[-1] if facts.tries else None
    if last is not None and last.outcome is AttemptOutcome.RELEASED:
        # Whose agent cannot work gives its tasks back, so that they do not fail for it.
        yield from (one for one in symptoms([Line(last.reason)]) if one.code in _OF_AGENTS_THEMSELVES)
    if facts.reason == "dependency_failed":
        yield advice("dependency_failed", [Evidence(text="cancelled: dependency_failed")])


def unexplained(facts: TaskFacts, found: list[Advice]) -> Iterator[Advice]:
    """What is left to say of a failure that nothing else explains."""
    last, error = facts.last, facts.error
    if last is None or error is None or any(one.confidence is not Confidence.POSSIBLE for one in found):
        return
    code = error.details.get("exit_code")
    evidence = [told(last), *(Evidence(text=brief(line.text, 300), line=line.number) for line in facts.lines[-3:])]
    if isinstance(code, int):
        yield advice("exit_code", evidence, exit_code=code)
    else:
        yield advice("unexplained", evidence, type=brief(last.type) or "an error")
