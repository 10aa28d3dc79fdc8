"""A worker whose agent is the stand-in, told by the test what to say and do."""

import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from tests.unit.worker_client.agent import standin
from tests.unit.worker_client.stage import Stage, on_stage
from worker_client.runners.agent.claude import Claude
from worker_client.runners.agent.protocol import Agent, Assignment, Launch
from worker_client.runners.agent.runner import AgentRunner
from worker_client.runners.agent.settings import AgentSettings

Step = tuple[str, Any]
INIT: Final[Step] = (
    "say",
    {"type": "system", "subtype": "init", "session_id": "$SESSION", "model": "opus", "claude_code_version": "2.1.0"},
)


def text(words: str, message: str = "m1") -> Step:
    usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 50}
    content = [{"type": "text", "text": words}]
    return "say", {"type": "assistant", "session_id": "$SESSION", "message": {"id": message, "content": content, "usage": usage}}


def result(words: str = "All done.", **facts: Any) -> Step:
    usage = {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 50}
    event = {"type": "result", "subtype": "success", "is_error": False, "result": words, "session_id": "$SESSION"}
    return "say", {**event, "total_cost_usd": 0.5, "usage": usage, "permission_denials": [], **facts}


def done(words: str = "All done.") -> list[Step]:
    return [INIT, text(words), result(words)]


class Actor(Claude):
    """Claude Code as far as we know; the program is the stand-in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def launch(self, assignment: Assignment, settings: AgentSettings) -> Launch:
        launch = super().launch(assignment, settings)
        argv = [sys.executable, standin.__file__, str(self._folder), *launch.argv[1:]]
        return Launch(argv=argv, environment=launch.environment, stdin=launch.stdin)


class Theatre:
    """`stage` with a worker in `directory`; `play` says what each run of the agent does, in their order."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.queue, self.directory, self._folder = stage, stage.queue, stage.directory, folder

    def play(self, *runs: Sequence[Step]) -> None:
        played = len(self.calls)
        for number, steps in enumerate(runs, played):
            (self._folder / f"{number}.json").write_text(json.dumps(steps))

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls = self._folder / "calls.jsonl"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def session(self, call: int) -> str:
        argv = self.calls[call]["argv"]
        return str(next(argv[at + 1] for at, name in enumerate(argv) if name in {"--session-id", "--resume"}))

    async def run(self, task_id: int = 7, prompt: str | None = "Fix the test.", **facts: Any) -> tuple[str, dict[str, Any]]:
        """Let the agent do a task; how it was reported."""
        self.queue.add(task_id, self.directory, kind="agent", prompt=prompt, **facts)
        return await self.stage.end_of(task_id)


@asynccontextmanager
async def theatre(
    tmp_path: Path, agent: Agent | None = None, *, environ: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Theatre]:
    """Options of the AgentRunner: `settings`, `account`, `checks`; others are the Worker's."""
    folder, directory, state = (tmp_path / name for name in ("played", "work", "state"))
    for path in (folder, directory, state):
        path.mkdir(exist_ok=True)
    mine = {name: options.pop(name) for name in ("settings", "account", "checks") if name in options}
    environ = {"PATH": os.environ["PATH"], **(environ or {})}
    runner = AgentRunner(agent or Actor(folder), state=state, environ=environ, **mine)
    async with on_stage(directory, runners=[runner], **options) as stage:
        yield Theatre(stage, folder)
    left = [process.pid for process in psutil.process_iter() if str(folder) in _line(process)]
    assert left == []


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
