"""Which trace the work of this process belongs to. OpenTelemetry is loaded where tracing is switched on, and else left alone.

A trace is known by its `traceparent` (W3C Trace Context), which goes with requests, with tasks, and to programs as TRACEPARENT.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from worker_client.errors import ConfigurationError

if TYPE_CHECKING:
    from worker_client.spans import Spans

VARIABLE: Final = "TRACEPARENT"
SWITCH: Final = "ORCHESTRATOR_TRACING"
_API: Final = "opentelemetry.trace"
_YES: Final = frozenset({"1", "true", "yes", "on"})
_within: ContextVar[str | None] = ContextVar("orchestrator_traceparent")
_started: "list[Spans]" = []


def current() -> str | None:
    """The traceparent of what goes on: of the active span, else of the task that is being done, else of the environment."""
    api = sys.modules.get(_API)
    if api is not None and (context := api.get_current_span().get_span_context()).is_valid:
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    try:
        return _within.get()
    except LookupError:
        return os.environ.get(VARIABLE) or None


@contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """What goes on belongs to this trace, or with None to no trace at all."""
    token = _within.set(traceparent)
    try:
        yield
    finally:
        _within.reset(token)


def spans() -> "Spans | None":
    """What makes spans here: what was started, or a provider of the program's own; None where there is neither."""
    if _started:
        return _started[0]
    if _API not in sys.modules:
        return None
    found: Spans = import_module("worker_client.spans").of_program()
    return found


@contextmanager
def exporting(service: str, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Where ORCHESTRATOR_TRACING says so: send spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, until the end.

    Raises ConfigurationError without the libraries.
    """
    if environ.get(SWITCH, "").lower() not in _YES:
        yield
        return
    made = start(service)
    _started.append(made)
    try:
        yield
    finally:
        _started.remove(made)
        made.close()


def start(service: str, endpoint: str = "") -> "Spans":
    """What makes spans and sends them; `endpoint` goes before what the environment says. Raises ConfigurationError."""
    try:
        found: Any = import_module("worker_client.spans")
        made: Spans = found.start(service, endpoint)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"tracing needs OpenTelemetry: pip install 'task-orchestrator[otel]', or switch it off ({error})"
        ) from None
    return made
