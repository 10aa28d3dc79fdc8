"""Logs: one line per event, JSON for programs or pretty for people, from structlog and stdlib logging alike.

Bodies and secrets never get in: a processor masks them by the name of their key.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orchestrator.settings import Log
from orchestrator.telemetry.ring import Ring

MASK: Final = "***"
OMITTED: Final = "(omitted)"

context = structlog.contextvars.bound_contextvars
"""`with context(request_id=..., task_id=..., worker_id=...):` adds these to every line logged inside, also by libraries."""

_SECRET: Final = re.compile(
    r"(^|[_-])(authorization|cookie|credentials?|jwt|lease|nonce|passwd|password|private[_-]?key|api[_-]?key|secret|token)$",
    re.IGNORECASE,
)
_BODIES: Final = frozenset({"body", "checkpoint", "command", "environment", "headers", "prompt", "result"})
_INSIDE_TEXT: Final = re.compile(r"(?i)(bearer\s+)\S+|(://[^/\s:@]*:)[^/\s@]+(?=@)|(or[cs]_[0-9a-f]{12}_)[0-9a-f]{48}")
_DEPTH: Final = 4
# At debug level they print statements with their values, and headers.
_TALKATIVE: Final = ("aiosqlite", "asyncio", "httpcore", "httpx", "mcp", "urllib3")


latest: Final = Ring()
"""The lines that were logged last, as JSON, whatever is printed."""
Redact = Callable[[Any], Any]
"""Gives a value back with all that must not be seen in it masked."""


class _Redaction:
    """Masks lines by a rule that can change, though loggers keep their processors."""

    rule: Redact | None = None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        masked: EventDict = event if self.rule is None else self.rule(event)
        return masked


_redaction: Final = _Redaction()
# All loggers are of this class: those in use follow, too, when its base is changed, which has the methods of one level only.
_Logger: Final[Any] = type("_Logger", (structlog.make_filtering_bound_logger(logging.INFO),), {})


def setup(settings: Log, stream: TextIO | None = None) -> None:
    """Route all logging of this process to `stream` (stderr) and the optional file.

    A later call replaces this one, but loggers that were used in between stay as they are: they are cached for speed.
    """
    stream = stream or sys.stderr
    file = _rotating(settings) if settings.file else None
    readable = pretty(settings, stream)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            mask,
            _redaction,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(file, pretty=readable, colors=stream.isatty()),
        ],
        wrapper_class=_Logger,
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Forgiving(stream))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog(file)], force=True)
    logging.captureWarnings(capture=True)
    # That the database is away is said once, by the queue, not every half second.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    choose(settings.level)


def pretty(settings: Log, stream: TextIO) -> bool:
    """Whether lines are for people to read."""
    return settings.format == "pretty" or (settings.format == "auto" and stream.isatty())


def choose(level: str) -> None:
    """Log what has at least this level, from now on, also by loggers in use."""
    number = logging.getLevelNamesMapping()[level.upper()]
    _Logger.__bases__ = (structlog.make_filtering_bound_logger(number),)
    logging.getLogger().setLevel(number)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def redact(rule: Redact | None) -> None:
    """Mask by this rule all that is logged from now on, also by loggers in use."""
    _redaction.rule = rule


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of keys that name a secret or a body, also inside mappings."""
    for key, value in event.items():
        event[key] = _masked(key, value, _DEPTH)
    return event


def _masked(key: str, value: Any, depth: int) -> Any:
    if key in _BODIES:
        return OMITTED
    if _SECRET.search(key):
        return MASK
    if isinstance(value, str):
        return _INSIDE_TEXT.sub(rf"\1\2\3{MASK}", value)
    if isinstance(value, Mapping):
        return {str(k): _masked(str(k), v, depth - 1) for k, v in value.items()} if depth else OMITTED
    if isinstance(value, list | tuple):
        return [_masked(key, item, depth - 1) for item in value] if depth else OMITTED
    return value


def _renderers(file: logging.Handler | None, *, pretty: bool, colors: bool) -> list[Processor]:
    to_json = structlog.processors.JSONRenderer(serializer=_json)
    copy = [_copier(file, to_json)] if file else []
    if not pretty:
        return [*copy, _rememberer(to_json)]
    # Rich tracebacks show local variables, and those hold bodies and secrets.
    plain = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    remember = _rememberer(to_json)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        remember(logger, method, dict(event))
        return plain(logger, method, event)

    return [*copy, render]


def _rememberer(render: Processor) -> Processor:
    """Renders, and keeps in memory what it made."""

    def remember(logger: WrappedLogger, method: str, event: EventDict) -> str:
        level = logging.getLevelNamesMapping().get(str(event.get("level", "")).upper(), logging.INFO)
        line = str(render(logger, method, event))
        latest.add(level, line)
        return line

    return remember


def _json(event: EventDict, default: Any = None, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=default or repr).decode()


def _rotating(settings: Log) -> RotatingFileHandler:
    path = Path(settings.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    limit, kept = settings.file_max_bytes, settings.file_backups
    return RotatingFileHandler(path, maxBytes=limit, backupCount=kept, encoding="utf-8", delay=True)


def _copier(file: logging.Handler, render: Processor) -> Processor:
    """Writes each event to the file on its way to the console."""

    def copy(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        line = render(logger, method, dict(event))
        file.handle(logging.LogRecord("", logging.INFO, "", 0, "%s", (line,), None))
        return event

    return copy


class _Forgiving:
    """A stream that loses what it cannot write, on a full disk or to nobody: whoever logs has other things to do."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _ToStructlog(logging.Handler):
    """Gives the records of libraries to the same processors; closing it closes the file."""

    def __init__(self, file: logging.Handler | None) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        more = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, **more)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()
