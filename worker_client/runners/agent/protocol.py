"""What the command line of a coding agent has to be able to do to be run: be started, be read, be judged."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field

from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.settings import AgentSettings


class Class(StrEnum):
    """How a run of an agent ended, by what it said and not by its exit code alone."""

    DONE = "done"
    FAILED = "failed"
    QUOTA = "quota"
    """The account may not go on until `resets_at`."""
    AUTH = "auth"
    """Not logged in, or the key is refused: no other task would fare better."""
    BUDGET = "budget"
    """It stopped because it was told how much it may spend."""
    KILLED = "killed"
    NO_EVIDENCE = "no_evidence"
    """It ended without saying how."""


class Assignment(Struct, frozen=True, kw_only=True):
    """What one run is to do.

    `prompt_file` holds the prompt, too. `session_id`: resume this session; else `fresh_session_id` (a UUID) is the name of the
    new one, for command lines that let us choose it. `budget_usd`: what is left to spend. `spent`: what the resumed session had
    used before, as far as it is known here.
    """

    prompt: str
    prompt_file: Path
    directory: str
    session_id: str | None
    fresh_session_id: str
    model: str | None = None
    budget_usd: float | None = None
    spent: Usage = field(default_factory=Usage)


class Launch(Struct, frozen=True, kw_only=True):
    """How to start it: `environment` on top of the clean one, `stdin` a file to read the prompt from.

    One argument of a command holds 128 kB at the most, and everybody on the machine can read it.
    """

    argv: list[str]
    environment: dict[str, str] = {}
    stdin: Path | None = None


class Report(Struct, kw_only=True):
    """What a run has said so far; a reader keeps it up to date.

    `usage`: of this run alone. `activity`: what it is doing, in a few words. `denials`: what it was not allowed to do.
    `finished`: it has said its last word, and is expected to end.
    """

    session_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    final_text: str = ""
    activity: str | None = None
    denials: list[str] = []
    model: str | None = None
    version: str | None = None
    finished: bool = False


class Verdict(Struct, frozen=True, kw_only=True):
    """What came of a run. `message`: why, in words. `session_lost`: the session to resume does not exist here."""

    outcome: Class
    message: str = ""
    resets_at: datetime | None = None
    retryable: bool = True
    session_lost: bool = False
    details: dict[str, Any] = {}


class Reader(Protocol):
    """Follows one run."""

    report: Report

    def line(self, text: str, stream: LogStream) -> list[str]:
        """Take the next line of output, however broken; what a person is to read of it in the task's log."""

    def verdict(self, ended: Ended) -> Verdict:
        """What came of the run, once the program has ended and all of its output was read."""


class Agent(Protocol):
    """One command line. `program` is its name on PATH; `inherit`: variables of the worker's environment that it needs.

    `resumes`: whether it can go on in a session.
    """

    name: str
    program: str
    inherit: tuple[str, ...]
    resumes: bool

    def launch(self, assignment: Assignment, settings: AgentSettings) -> Launch:
        """How to start it for this; `argv[0]` is `settings.program` where that is set."""

    def reader(self, assignment: Assignment, settings: AgentSettings) -> Reader:
        """Something to follow the run that `launch` described."""


Agents = Mapping[str, Agent]
