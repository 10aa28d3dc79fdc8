"""Claude Code (`claude -p`, as of 2.1): one JSON object a line, from `system/init` to `result`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import structs

from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.events import EventReader, amount_of, count_of, list_of, object_of, shown, text_of
from worker_client.runners.agent.protocol import Assignment, Class, Launch, Verdict
from worker_client.runners.agent.settings import AgentSettings

DEFAULTS: Final = ("--permission-mode", "dontAsk")
"""Unless the settings say otherwise: what would need somebody's consent is denied, and nobody is asked."""
PERMISSIONS: Final = ("--permission-mode", "--dangerously-skip-permissions")
AUTH_RETRIES: Final = 4
"""It repeats a refused key ten times, for minutes; after so many nothing else is to be expected."""
SIGNALLED: Final = frozenset({130, 137, 143})
"""Exit codes of a program that ends itself after a signal, or was run by a shell."""
_LOGIN: Final = ("Not logged in", "Please run /login", "Invalid API key", "OAuth token")
_NO_CREDIT: Final = "Credit balance is too low"
_SPENT: Final = "error_max_budget_usd"
_OF_ITSELF: Final = "<synthetic>"
"""The model of messages that no model wrote."""


class Claude:
    """Takes the prompt on standard input, and the name of a new session from us."""

    name = "claude"
    program = "claude"
    resumes = True
    inherit: tuple[str, ...] = (
        *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL", "CLAUDE_CONFIG_DIR"),
        *("CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "XDG_CONFIG_HOME"),
        *("DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "DISABLE_ERROR_REPORTING", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"),
        "NODE_EXTRA_CA_CERTS",
    )

    def launch(self, assignment: Assignment, settings: AgentSettings) -> Launch:
        """How to start it."""
        argv = [settings.program or self.program, "-p", "--output-format", "stream-json", "--verbose"]
        if assignment.session_id is None:
            argv += ["--session-id", assignment.fresh_session_id]
        else:
            argv += ["--resume", assignment.session_id]
        if not _permissions_in(settings.args):
            argv += DEFAULTS
        if assignment.model is not None:
            argv += ["--model", assignment.model]
        if assignment.budget_usd is not None:
            argv += ["--max-budget-usd", f"{assignment.budget_usd:.4f}"]
        return Launch(argv=[*argv, *settings.args], stdin=assignment.prompt_file)

    def reader(self, assignment: Assignment, settings: AgentSettings) -> "ClaudeReader":  # noqa: ARG002  it needs none
        """Something to follow the run."""
        return ClaudeReader()


def _permissions_in(args: Sequence[str]) -> bool:
    return any(arg.partition("=")[0] in PERMISSIONS for arg in args)


class ClaudeReader(EventReader):
    """Success is a last `result` without `is_error`; its subtype says `success` after a refused request, too."""

    def __init__(self) -> None:
        super().__init__()
        self._result: dict[str, Any] | None = None
        self._status: int | None = None
        self._resets_at: datetime | None = None
        self._messages: dict[str, dict[str, Any]] = {}

    def event(self, event: dict[str, Any]) -> list[str]:
        """Take an event."""
        self.report.session_id = text_of(event.get("session_id")) or self.report.session_id
        match event.get("type"):
            case "system":
                return self._system(event)
            case "assistant":
                return self._assistant(object_of(event.get("message")))
            case "user":
                return _results(object_of(event.get("message")))
            case "rate_limit_event":
                return self._rate_limit(object_of(event.get("rate_limit_info")))
            case "result":
                self._end(event)
        return []

    def _system(self, event: dict[str, Any]) -> list[str]:
        if event.get("subtype") == "init":
            self.report.model = text_of(event.get("model")) or None
            self.report.version = text_of(event.get("claude_code_version")) or None
        elif event.get("subtype") == "api_retry":
            self._status = count_of(event.get("error_status")) or None
            attempt = count_of(event.get("attempt"))
            self.report.finished = self._status in {401, 403} and attempt >= AUTH_RETRIES
            return [
                f"the model's server answered {self._status or 'nothing'} ({text_of(event.get('error'))}); try {attempt} failed"
            ]
        return []

    def _assistant(self, message: dict[str, Any]) -> list[str]:
        self._count(message)
        lines = []
        for block in map(object_of, list_of(message.get("content"))):
            if block.get("type") == "text" and (text := text_of(block.get("text"))):
                self.report.final_text = text
                self.report.activity = shown(text, 200)
                lines.append(text)
            elif block.get("type") == "tool_use":
                call = _call(text_of(block.get("name")), object_of(block.get("input")))
                self.report.activity = shown(call, 200)
                lines.append(f"> {call}")
        return lines

    def _count(self, message: dict[str, Any]) -> None:
        """What was used until now, message by message: one that is killed never sums it up."""
        if message.get("model") != _OF_ITSELF:
            # The model answers: what was refused before is over.
            self._status = None
            self.report.finished = self._result is not None
            self.goes_on()
        if self._result is None and (name := text_of(message.get("id"))):
            self._messages[name] = object_of(message.get("usage"))
            self.report.usage = _usage(list(self._messages.values()), model=self.report.model)

    def _rate_limit(self, info: dict[str, Any]) -> list[str]:
        if info.get("status") != "rejected":
            return []
        self._resets_at = _time(info.get("resetsAt"))
        return [f"the account's limit is reached until {self._resets_at or 'it is lifted'}"]

    def _end(self, event: dict[str, Any]) -> None:
        self._result = event
        self.report.finished = True
        if not event.get("is_error"):
            self.report.final_text = text_of(event.get("result")) or self.report.final_text
        self._status = count_of(event.get("api_error_status")) or (self._status if event.get("is_error") else None)
        # Of this run alone: what is said of a resumed session doesn't include what it had used before.
        summed = _usage([object_of(event.get("usage"))], model=self.report.model)
        self.report.usage = structs.replace(
            summed if summed.output_tokens else self.report.usage,
            cost_usd=amount_of(event.get("total_cost_usd")),
            duration_ms=count_of(event.get("duration_ms")),
        )
        denials = map(object_of, list_of(event.get("permission_denials")))
        self.report.denials = [_call(text_of(one.get("tool_name")), object_of(one.get("tool_input"))) for one in denials]

    def verdict(self, ended: Ended) -> Verdict:
        """What came of the run."""
        result = self._result
        if result is None:
            return self._unfinished(ended)
        if not result.get("is_error") and result.get("subtype") == "success":
            return Verdict(outcome=Class.DONE)
        message = self._message()
        if "No conversation found" in message:
            return Verdict(outcome=Class.FAILED, message=message, session_lost=True)
        if result.get("subtype") == _SPENT:
            return Verdict(outcome=Class.BUDGET, message=message)
        details = {"subtype": text_of(result.get("subtype")), "status": self._status}
        # A model that doesn't exist won't when asked again.
        return self._refused(message) or Verdict(
            outcome=Class.FAILED, message=message, details=details, retryable=self._status != 404
        )

    def _unfinished(self, ended: Ended) -> Verdict:
        message = self._message()
        if (refused := self._refused(message)) is not None:
            return refused
        if ended.signal is not None or ended.exit_code in SIGNALLED:
            how = ended.signal or f"a signal (exit code {ended.exit_code})"
            return Verdict(outcome=Class.KILLED, message=f"it was ended by {how}")
        return Verdict(outcome=Class.NO_EVIDENCE, message=message)

    def _refused(self, message: str) -> Verdict | None:
        if self._status == 429 or _NO_CREDIT in message:
            return Verdict(outcome=Class.QUOTA, message=message, resets_at=self._resets_at)
        if self._status in {401, 403} or any(words in message for words in _LOGIN):
            return Verdict(outcome=Class.AUTH, message=message)
        return None

    def _message(self) -> str:
        result = self._result or {}
        errors = [text for one in list_of(result.get("errors")) if (text := text_of(one))]
        return text_of(result.get("result")) or "; ".join(errors) or str(self.said)


def _call(name: str, arguments: dict[str, Any]) -> str:
    """A tool's call as a person reads it: its first text is what it is about."""
    about = next((text for value in arguments.values() if (text := text_of(value))), "")
    return f"{name}: {shown(about)}" if about else name


def _results(message: dict[str, Any]) -> list[str]:
    lines = []
    for block in map(object_of, list_of(message.get("content"))):
        if block.get("type") == "tool_result":
            content = block.get("content")
            parts = [text_of(content), *(text_of(object_of(part).get("text")) for part in list_of(content))]
            lines.append(f"{'! ' if block.get('is_error') else '< '}{shown(' '.join(parts))}")
    return lines


def _usage(parts: list[dict[str, Any]], *, model: str | None) -> Usage:
    def total(*names: str) -> int:
        return sum(count_of(part.get(name)) for part in parts for name in names)

    return Usage(
        input_tokens=total("input_tokens", "cache_creation_input_tokens"),
        output_tokens=total("output_tokens"),
        cached_tokens=total("cache_read_input_tokens"),
        model=model,
    )


def _time(value: Any) -> datetime | None:
    """A moment in seconds since 1970."""
    try:
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, OverflowError, OSError, ValueError):
        return None
