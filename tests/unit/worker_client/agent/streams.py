"""Recorded output of the real command lines, and a reader that has read it."""

import json
from pathlib import Path
from typing import Final

from worker_client.contract.enums import LogStream
from worker_client.processes import Ended
from worker_client.runners.agent.protocol import Agent, Assignment, Reader, Verdict
from worker_client.runners.agent.settings import AgentSettings

STREAMS: Final = Path(__file__).parents[3] / "agents/streams"
ASSIGNMENT: Final = Assignment(
    prompt="Fix it.",
    prompt_file=Path("/run/prompt.md"),
    directory="/srv/project",
    session_id=None,
    fresh_session_id="11111111-2222-4333-8444-555555555555",
)


def recorded(program: str, case: str) -> tuple[list[tuple[LogStream, str]], Ended]:
    """The lines, and how the program ended."""
    *lines, end = map(json.loads, (STREAMS / program / f"{case}.jsonl").read_text().splitlines())
    ended = Ended(end.get("exit_code"), end.get("signal"), 0.0, 0)
    return [(LogStream(f"std{stream}"), text) for line in lines for stream, text in line.items()], ended


def replayed(agent: Agent, case: str, assignment: Assignment = ASSIGNMENT) -> tuple[Reader, list[str], Verdict]:
    """A reader after a whole recording, what it had for the log, and its verdict."""
    reader = agent.reader(assignment, AgentSettings())
    lines, ended = recorded(agent.name, case)
    log = [shown for stream, text in lines for shown in reader.line(text, stream)]
    return reader, log, reader.verdict(ended)
