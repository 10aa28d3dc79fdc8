"""Agents that the settings describe: a template of the command line, and what its output looks like when it is done."""

import re
from typing import Final

from msgspec import structs

from worker_client.contract.enums import LogStream
from worker_client.errors import ConfigurationError
from worker_client.output import Tail
from worker_client.processes import Ended
from worker_client.runners.agent.claude import SIGNALLED, ClaudeReader
from worker_client.runners.agent.events import shown
from worker_client.runners.agent.protocol import Assignment, Class, Launch, Reader, Report, Verdict
from worker_client.runners.agent.settings import AgentSettings, Pattern

PRESETS: Final = {
    "cursor": AgentSettings(
        command=["cursor-agent", "-p", "--force", "--output-format", "stream-json", "--model={model}"],
        resume_command=[
            "cursor-agent",
            "-p",
            "--force",
            "--output-format",
            "stream-json",
            "--resume={session_id}",
            "--model={model}",
        ],
        output="stream-json",
        auth=r"(?i)not logged in|authentication required|CURSOR_API_KEY|cursor-agent login",
        quota=r"(?i)usage limit|rate limit",
        inherit=["CURSOR_API_KEY"],
    ),
    "aider": AgentSettings(
        command=["aider", "--message-file={prompt_file}", "--yes-always", "--no-stream", "--no-pretty", "--model={model}"],
        done=r"^Tokens: .* sent, .* received",
        auth=r"^litellm\.(AuthenticationError|PermissionDeniedError)",
        quota=r"^litellm\.RateLimitError",
        inherit=[
            "OPENAI_API_KEY",
            "OPENAI_API_BASE",
            "ANTHROPIC_API_KEY",
            "GEMINI_API_KEY",
            "OPENROUTER_API_KEY",
            "DEEPSEEK_API_KEY",
        ],
    ),
    "goose": AgentSettings(
        command=[
            "goose",
            "run",
            "--instructions={prompt_file}",
            "--name={session_id}",
            "--output-format=json",
            "--model={model}",
        ],
        resume_command=[
            "goose",
            "run",
            "--resume",
            "--name={session_id}",
            "--instructions={prompt_file}",
            "--output-format=json",
        ],
        done=r'"status":\s*"completed"',
        auth=r"(?i)authentication (error|failed)|invalid api key|No provider configured",
        quota=r"(?i)rate limit|credits exhausted",
        environment={"GOOSE_MODE": "auto"},
        inherit=["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY", "GOOSE_PROVIDER", "GOOSE_MODEL"],
    ),
}
"""As their documentation has it."""
MOST_TEXT: Final = 8192
_PLACE: Final = re.compile(r"\{(prompt|prompt_file|session_id|model|directory)\}")


def described(settings: AgentSettings) -> AgentSettings:
    """The settings on top of their preset; raises ConfigurationError for one that there is not."""
    if settings.preset is None:
        return settings
    preset = PRESETS.get(settings.preset)
    if preset is None:
        raise ConfigurationError(f"there is no preset {settings.preset}; there are {', '.join(PRESETS)}")
    unset = AgentSettings()
    told = {name: value for name, value in structs.asdict(settings).items() if value != getattr(unset, name)}
    both = {"inherit": [*preset.inherit, *settings.inherit], "environment": {**preset.environment, **settings.environment}}
    return structs.replace(preset, **{**told, **both})


class Custom:
    """Runs what `command` says.

    An argument with `{model}` is left out while no model is named; a command that names no prompt reads it from standard input.
    """

    def __init__(self, name: str, settings: AgentSettings) -> None:
        self.name = name
        self._settings = described(settings)
        self.inherit: tuple[str, ...] = tuple(self._settings.inherit)
        self.resumes = self._settings.resume_command is not None
        self._command = self._settings.command or []
        if not self._command:
            raise ConfigurationError(f"agents.{name} has neither a `command` nor a `preset`, so it can't be run")
        self.program = self._settings.program or self._command[0]

    def launch(self, assignment: Assignment, settings: AgentSettings) -> Launch:
        """How to start it."""
        template = self._command
        if assignment.session_id is not None and self._settings.resume_command is not None:
            template = self._settings.resume_command
        values = {
            "prompt": assignment.prompt,
            "prompt_file": str(assignment.prompt_file),
            "session_id": assignment.session_id or assignment.fresh_session_id,
            "model": assignment.model or "",
            "directory": assignment.directory,
        }
        kept = [part for part in template[1:] if assignment.model is not None or "{model}" not in part]
        argv = [self.program, *(_PLACE.sub(lambda place: values[place[1]], part) for part in kept), *settings.args]
        named = any(place in part for part in template for place in ("{prompt}", "{prompt_file}"))
        return Launch(argv=argv, environment=self._settings.environment, stdin=None if named else assignment.prompt_file)

    def reader(self, assignment: Assignment, settings: AgentSettings) -> Reader:  # noqa: ARG002  it has its own
        """Something to follow the run."""
        if self._settings.output == "stream-json":
            return StreamReader(self._settings)
        chosen = any("{session_id}" in part for part in self._command) and self.resumes
        session_id = assignment.session_id or assignment.fresh_session_id
        return TextReader(self._settings, session_id if chosen else None)


class TextReader:
    """For command lines that print text: of all that was printed last, what says most counts."""

    def __init__(self, settings: AgentSettings, session_id: str | None) -> None:
        self.report = Report(session_id=session_id)
        self._settings = settings
        self._text = Tail(MOST_TEXT)
        self._done = False
        self._refused: Verdict | None = None

    def line(self, text: str, stream: LogStream) -> list[str]:
        """Take a line."""
        self._refused = refusal(self._settings, text) or self._refused
        if _matches(self._settings.done, text):
            # What went wrong before it went on after all is over.
            self._done, self._refused = True, None
        if stream is LogStream.STDOUT:
            self._text.add(text)
            self.report.final_text = str(self._text)
            self.report.activity = shown(text, 200) or self.report.activity
        return [text]

    def verdict(self, ended: Ended) -> Verdict:
        """Without a `done` of its own, only an exit code of 0 after which nothing was refused says so."""
        if self._refused is not None:
            return self._refused
        if ended.signal is not None or ended.exit_code in SIGNALLED:
            return Verdict(outcome=Class.KILLED, message=f"it was ended by {ended.signal or 'a signal'}")
        last = str(self._text).rpartition("\n")[2]
        if ended.exit_code != 0:
            return Verdict(outcome=Class.FAILED, message=f"exit code {ended.exit_code}; it last printed: {last}")
        if self._done or (self._settings.done is None and self.report.final_text.strip()):
            return Verdict(outcome=Class.DONE)
        return Verdict(outcome=Class.NO_EVIDENCE, message=f"it ended without saying that it is done; it last printed: {last}")


class StreamReader(ClaudeReader):
    """For command lines that print the events of Claude Code, and complain in prose."""

    def __init__(self, settings: AgentSettings) -> None:
        super().__init__()
        self._settings = settings

    def verdict(self, ended: Ended) -> Verdict:
        """What came of the run."""
        verdict = super().verdict(ended)
        doubtful = verdict.outcome in {Class.FAILED, Class.NO_EVIDENCE}
        return (refusal(self._settings, verdict.message) if doubtful else None) or verdict


def refusal(settings: AgentSettings, text: str) -> Verdict | None:
    """What a line says that speaks of the account, and not of the task."""
    for pattern, outcome in ((settings.auth, Class.AUTH), (settings.quota, Class.QUOTA)):
        if _matches(pattern, text):
            return Verdict(outcome=outcome, message=shown(text, 2000))
    return None


def _matches(pattern: Pattern | None, text: str) -> bool:
    return pattern is not None and re.search(pattern, text) is not None
