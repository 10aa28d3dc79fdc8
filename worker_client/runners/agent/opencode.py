"""opencode (`opencode run --format json`, as of 1.18): one JSON object a line; a step ends with `step_finish`.

A refused request that it repeats is in its log alone, which is therefore asked for; with a limit that ends in hours it would wait
for hours, and without a word about its end for ever.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.events import EventReader, amount_of, count_of, object_of, shown, text_of
from worker_client.runners.agent.prose import LIMITED, judged, local_now, resets_at
from worker_client.runners.agent.protocol import Assignment, Class, Launch, Verdict
from worker_client.runners.agent.settings import AgentSettings

TRIES: Final = 5
"""A limit whose end isn't said is taken for one to park for after so many refused requests in a row, about a minute."""
SHORT: Final = timedelta(minutes=1)
"""For a limit that ends so soon it waits by itself."""
UNFINISHED: Final = frozenset({"tool-calls", "length", "content-filter", "error"})
_LOGGED: Final = re.compile(r"timestamp=\S+ level=\w+ ")
_SESSION: Final = re.compile(r"\bsession\.id=(\S+) ")
_ERROR: Final = re.compile(r'\berror(?:\.error)?="((?:[^"\\]|\\.)*)"')


class OpenCode:
    """Takes the prompt on standard input; names a session itself."""

    name = "opencode"
    program = "opencode"
    resumes = True
    inherit: tuple[str, ...] = (
        *("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"),
        *("OPENCODE_API_KEY", "OPENCODE_CONFIG", "OPENCODE_CONFIG_CONTENT", "OPENCODE_CONFIG_DIR", "OPENCODE_PERMISSION"),
        *("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_LSP_DOWNLOAD", "OPENCODE_DISABLE_MODELS_FETCH"),
        *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"),
        "NODE_EXTRA_CA_CERTS",
    )

    def launch(self, assignment: Assignment, settings: AgentSettings) -> Launch:
        """How to start it: what its settings don't forbid is allowed, since nobody is there to ask."""
        argv = [settings.program or self.program, "run", "--format", "json", "--print-logs", "--log-level", "ERROR", "--auto"]
        if assignment.session_id is not None:
            argv += ["--session", assignment.session_id]
        if assignment.model is not None:
            argv += ["--model", assignment.model]
        return Launch(argv=[*argv, *settings.args], stdin=assignment.prompt_file)

    def reader(self, assignment: Assignment, settings: AgentSettings) -> "OpenCodeReader":  # noqa: ARG002  it needs none
        """Something to follow the run."""
        return OpenCodeReader(assignment.model)


class OpenCodeReader(EventReader):
    """Success is a last step that stopped of its own accord, with no error after it."""

    def __init__(self, model: str | None, now: Callable[[], datetime] = local_now) -> None:
        super().__init__()
        self.report.model = model
        self._now = now
        self._refusals = 0
        self._resets_at: datetime | None = None
        self._stopped: str | None = None
        self._error: dict[str, Any] | None = None
        self._complaint = ""

    def line(self, text: str, stream: LogStream) -> list[str]:
        """Take a line; of its log only what is wrong."""
        logged = _logged(text) if stream is LogStream.STDERR else None
        if logged is None:
            return super().line(text, stream)
        self.report.session_id, complaint = logged
        if " small=true " in text:
            return []
        known = complaint == self._complaint
        self._complained(complaint)
        return [] if known else [complaint]

    def _complained(self, complaint: str) -> None:
        self._complaint = complaint
        if LIMITED.search(complaint):
            self._refusals += 1
            self._resets_at = resets_at(complaint, self._now())
            late = self._resets_at is not None and self._resets_at - self._now() > SHORT
            self.report.finished = late or self._refusals >= TRIES

    def event(self, event: dict[str, Any]) -> list[str]:
        """Take an event."""
        self.report.session_id = text_of(event.get("sessionID")) or self.report.session_id
        part = object_of(event.get("part"))
        match event.get("type"):
            case "step_start":
                self._refusals, self._complaint, self._stopped, self._error = 0, "", None, None
                self.report.finished = False
                self.goes_on()
            case "text":
                self.report.final_text = text = text_of(part.get("text"))
                self.report.activity = shown(text, 200)
                return [text]
            case "tool_use":
                return self._used(part)
            case "step_finish":
                self._stopped = text_of(part.get("reason"))
                self._count(part)
            case "error":
                self._error = object_of(event.get("error"))
                self._complaint = _message(self._error)
                return [self._complaint]
        return []

    def _used(self, part: dict[str, Any]) -> list[str]:
        state = object_of(part.get("state"))
        about = next(filter(None, map(text_of, object_of(state.get("input")).values())), "")
        call = f"{text_of(part.get('tool'))}: {shown(about)}"
        self.report.activity = shown(call, 200)
        if state.get("status") == "error":
            problem = text_of(state.get("error"))
            if "rejected permission" in problem or "prevents you from using" in problem:
                self.report.denials.append(call)
            return [f"> {call}", f"! {shown(problem)}"]
        failed = object_of(state.get("metadata")).get("exit") not in (None, 0)
        return [f"> {call}", f"{'! ' if failed else '< '}{shown(text_of(state.get('output')))}"]

    def _count(self, part: dict[str, Any]) -> None:
        tokens, so_far = object_of(part.get("tokens")), self.report.usage
        cache = object_of(tokens.get("cache"))
        self.report.usage = Usage(
            input_tokens=so_far.input_tokens + count_of(tokens.get("input")) + count_of(cache.get("write")),
            output_tokens=so_far.output_tokens + count_of(tokens.get("output")) + count_of(tokens.get("reasoning")),
            cached_tokens=so_far.cached_tokens + count_of(cache.get("read")),
            cost_usd=so_far.cost_usd + amount_of(part.get("cost")),
            model=self.report.model,
        )

    def verdict(self, ended: Ended) -> Verdict:
        """What came of the run."""
        if self._error is None and self._stopped is not None and self._stopped not in UNFINISHED and not self._refusals:
            return Verdict(outcome=Class.DONE)
        data = object_of((self._error or {}).get("data"))
        status = count_of(data.get("statusCode"))
        message = self._complaint or str(self.said)
        if "Session not found" in message:
            return Verdict(outcome=Class.FAILED, message=message, session_lost=True)
        if status == 429:
            return Verdict(outcome=Class.QUOTA, message=message, resets_at=self._until(data))
        if status in {401, 403} or (self._error or {}).get("name") == "ProviderAuthError":
            return Verdict(outcome=Class.AUTH, message=message)
        if self._stopped is not None and not message:
            return Verdict(outcome=Class.FAILED, message=f"it stopped for the reason {self._stopped!r}")
        return judged(message, ended, self._now(), failed=self._error is not None)

    def _until(self, data: dict[str, Any]) -> datetime | None:
        after = text_of(object_of(data.get("responseHeaders")).get("retry-after"))
        if after.isdecimal():
            return self._now() + timedelta(seconds=min(int(after), 366 * 86_400))
        return resets_at(_message({"data": data}), self._now())


def _logged(text: str) -> tuple[str, str] | None:
    """The session and the error of a line of its log."""
    begin = _LOGGED.match(text)
    session = begin and _SESSION.search(text, begin.end() - 1)
    error = session and _ERROR.search(text, session.end() - 1)
    return (session[1], error[1].replace('\\"', '"')) if session and error else None


def _message(error: dict[str, Any]) -> str:
    return text_of(object_of(error.get("data")).get("message")) or text_of(error.get("name"))
