"""Gemini CLI (`gemini -o stream-json`, as of 0.61): one JSON object a line, from `init` to `result`.

When a limit ends stands, if at all, in what it prints about the refused request on standard error. A limit per minute it waits
for by itself. Its exit code is the low byte of an HTTP status, or one of its own.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from msgspec import structs

from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.events import EventReader, count_of, object_of, shown, text_of
from worker_client.runners.agent.prose import judged, local_now, resets_at
from worker_client.runners.agent.protocol import Assignment, Class, Launch, Verdict
from worker_client.runners.agent.settings import AgentSettings

APPROVAL: Final = ("--approval-mode", "-y", "--yolo")
NOT_LOGGED_IN: Final = 41
INTERRUPTED: Final = 130


class Gemini:
    """Takes the prompt on standard input, and the name of a new session from us."""

    name = "gemini"
    program = "gemini"
    resumes = True
    inherit: tuple[str, ...] = (
        *("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("GOOGLE_GENAI_USE_GCA", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GEMINI_BASE_URL", "GEMINI_MODEL", "GEMINI_CLI_HOME"),
        "NODE_EXTRA_CA_CERTS",
    )

    def launch(self, assignment: Assignment, settings: AgentSettings) -> Launch:
        """How to start it: nobody is there to consent, and without consent it runs no commands."""
        argv = [settings.program or self.program, "-o", "stream-json", "--skip-trust"]
        if assignment.session_id is None:
            argv += ["--session-id", assignment.fresh_session_id]
        else:
            argv += ["--resume", assignment.session_id]
        if not any(arg.partition("=")[0] in APPROVAL for arg in settings.args):
            argv += ["--approval-mode", "yolo"]
        if assignment.model is not None:
            argv += ["--model", assignment.model]
        return Launch(argv=[*argv, *settings.args], stdin=assignment.prompt_file)

    def reader(self, assignment: Assignment, settings: AgentSettings) -> "GeminiReader":  # noqa: ARG002  it needs none
        """Something to follow the run."""
        return GeminiReader()


class GeminiReader(EventReader):
    """Success is a last `result` whose status is `success`."""

    def __init__(self, now: Callable[[], datetime] = local_now) -> None:
        super().__init__()
        self._now = now
        self._result: dict[str, Any] | None = None

    def event(self, event: dict[str, Any]) -> list[str]:
        """Take an event."""
        match event.get("type"):
            case "init":
                self.report.session_id = text_of(event.get("session_id")) or self.report.session_id
                self.report.model = text_of(event.get("model")) or None
            case "message" if event.get("role") == "assistant":
                return self._said(event)
            case "tool_use":
                return self._called(event)
            case "tool_result":
                problem = text_of(object_of(event.get("error")).get("message"))
                text = shown(problem or text_of(event.get("output")))
                return [f"{'! ' if event.get('status') == 'error' else '< '}{text}"]
            case "error":
                return [text_of(event.get("message"))]
            case "result":
                self._result = event
                self.report.finished = True
                self._count(object_of(event.get("stats")))
        return []

    def _said(self, event: dict[str, Any]) -> list[str]:
        """A text comes in pieces; the next call of a tool ends it."""
        self.goes_on()
        text = text_of(event.get("content"))
        self.report.final_text = self.report.final_text + text if event.get("delta") else text
        self.report.activity = shown(self.report.final_text, 200) or None
        return [text]

    def _called(self, event: dict[str, Any]) -> list[str]:
        self.goes_on()
        about = next(filter(None, map(text_of, object_of(event.get("parameters")).values())), "")
        call = f"{text_of(event.get('tool_name'))}: {shown(about)}"
        self.report.final_text = ""
        self.report.activity = shown(call, 200)
        return [f"> {call}"]

    def _count(self, stats: dict[str, Any]) -> None:
        self.report.usage = Usage(
            input_tokens=count_of(stats.get("input")),
            output_tokens=count_of(stats.get("output_tokens")),
            cached_tokens=count_of(stats.get("cached")),
            duration_ms=count_of(stats.get("duration_ms")),
            model=next(map(text_of, object_of(stats.get("models"))), self.report.model),
        )

    def verdict(self, ended: Ended) -> Verdict:
        """What came of the run."""
        if self._result is not None and self._result.get("status") == "success":
            return Verdict(outcome=Class.DONE)
        printed = str(self.said)
        message = text_of(object_of((self._result or {}).get("error")).get("message")) or printed
        if "Invalid session identifier" in printed:
            return Verdict(outcome=Class.FAILED, message=printed, session_lost=True)
        if ended.exit_code == NOT_LOGGED_IN:
            return Verdict(outcome=Class.AUTH, message=message)
        if ended.exit_code == INTERRUPTED and self._result is None:
            return Verdict(outcome=Class.KILLED, message="it was interrupted")
        verdict = judged(message, ended, self._now(), failed=self._result is not None)
        if verdict.outcome is Class.QUOTA and verdict.resets_at is None:
            return structs.replace(verdict, resets_at=resets_at(printed, self._now()))
        return verdict
