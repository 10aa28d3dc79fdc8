"""Codex (`codex exec --json`, as of 0.169): one JSON object a line, from `thread.started` to `turn.completed` or `turn.failed`.

`turn.completed` counts the tokens of the whole session. A resumed session falls back to reading only unless the sandbox is named
again, before `resume`. A reached limit of a plan is said in prose, with the time of day in the machine's zone; of a key it isn't
said at all: it waits as long as the server asked for.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.events import EventReader, count_of, list_of, object_of, shown, text_of
from worker_client.runners.agent.prose import LIMITED, judged, local_now
from worker_client.runners.agent.protocol import Assignment, Class, Launch, Verdict
from worker_client.runners.agent.settings import AgentSettings
from worker_client.runners.agent.usages import since

DEFAULTS: Final = ("--sandbox", "workspace-write")
"""Unless the settings say otherwise: commands may write in the directory, and reach no network."""
SANDBOXES: Final = ("-s", "--sandbox", "-p", "--profile", "--dangerously-bypass-approvals-and-sandbox", "--full-auto")
_RECONNECTING: Final = re.compile(r"Reconnecting\.\.\. (\d+)/(\d+)")


class Codex:
    """Takes the prompt on standard input; names a session itself."""

    name = "codex"
    program = "codex"
    resumes = True
    inherit: tuple[str, ...] = (
        *("CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"),
    )

    def launch(self, assignment: Assignment, settings: AgentSettings) -> Launch:
        """How to start it."""
        argv = [settings.program or self.program, "exec", "--json", "--skip-git-repo-check", "-C", assignment.directory]
        if not any(arg.partition("=")[0] in SANDBOXES or "sandbox_mode" in arg for arg in settings.args):
            argv += DEFAULTS
        if assignment.model is not None:
            argv += ["--model", assignment.model]
        argv += settings.args
        if assignment.session_id is not None:
            argv += ["resume", assignment.session_id]
        return Launch(argv=[*argv, "-"], stdin=assignment.prompt_file)

    def reader(self, assignment: Assignment, settings: AgentSettings) -> "CodexReader":  # noqa: ARG002  it needs none
        """Something to follow the run."""
        return CodexReader(assignment)


class CodexReader(EventReader):
    """Success is `turn.completed`, and nothing else."""

    def __init__(self, assignment: Assignment, now: Callable[[], datetime] = local_now) -> None:
        super().__init__()
        self.report.model = assignment.model
        self._spent = assignment.spent if assignment.session_id is not None else Usage()
        self._now = now
        self._completed = False
        self._failed = False
        self._complaint = ""

    def event(self, event: dict[str, Any]) -> list[str]:
        """Take an event."""
        match event.get("type"):
            case "thread.started":
                self.report.session_id = text_of(event.get("thread_id")) or self.report.session_id
            case "turn.started":
                self._completed = self._failed = False
            case "item.started":
                return self._begun(object_of(event.get("item")))
            case "item.completed":
                return self._done(object_of(event.get("item")))
            case "turn.completed":
                self._completed = self.report.finished = True
                self.report.usage = self._since(object_of(event.get("usage")))
            case "turn.failed":
                self._failed = self.report.finished = True
                self._complaint = text_of(object_of(event.get("error")).get("message")) or self._complaint
            case "error":
                return self._complained(text_of(event.get("message")))
        return []

    def _begun(self, item: dict[str, Any]) -> list[str]:
        match item.get("type"):
            case "command_execution":
                call = text_of(item.get("command"))
            case "mcp_tool_call":
                call = f"{text_of(item.get('server'))}.{text_of(item.get('tool'))}"
            case "web_search":
                call = f"search: {text_of(item.get('query'))}"
            case _:
                return []
        self.report.activity = shown(call, 200)
        return [f"> {shown(call)}"]

    def _done(self, item: dict[str, Any]) -> list[str]:
        if item.get("type") != "error":
            self._complaint = ""
            self.goes_on()
        match item.get("type"):
            case "agent_message":
                self.report.final_text = text = text_of(item.get("text"))
                self.report.activity = shown(text, 200)
                return [text]
            case "command_execution":
                if item.get("status") == "declined":
                    self.report.denials.append(shown(text_of(item.get("command"))))
                failed = item.get("exit_code") != 0
                return [f"{'! ' if failed else '< '}{shown(text_of(item.get('aggregated_output')))}"]
            case "file_change":
                changes = [object_of(change) for change in list_of(item.get("changes"))]
                return [f"> {text_of(change.get('kind'))} {text_of(change.get('path'))}" for change in changes]
            case "error":
                return [text_of(item.get("message"))]
        return []

    def _complained(self, message: str) -> list[str]:
        self._complaint = message or self._complaint
        tries = _RECONNECTING.search(message)
        # After the last try it only waits, for as long as the server asked for.
        if tries is not None and tries[1] == tries[2] and LIMITED.search(message):
            self.report.finished = True
        return [message]

    def _since(self, usage: dict[str, Any]) -> Usage:
        cached = count_of(usage.get("cached_input_tokens"))
        total = Usage(
            input_tokens=max(0, count_of(usage.get("input_tokens")) - cached),
            output_tokens=count_of(usage.get("output_tokens")),
            cached_tokens=cached,
            model=self.report.model,
        )
        return since(total, self._spent)

    def verdict(self, ended: Ended) -> Verdict:
        """What came of the run."""
        if self._completed:
            return Verdict(outcome=Class.DONE)
        message = self._complaint or str(self.said)
        if "no rollout found" in message:
            return Verdict(outcome=Class.FAILED, message=message, session_lost=True)
        return judged(message, ended, self._now(), failed=self._failed)
