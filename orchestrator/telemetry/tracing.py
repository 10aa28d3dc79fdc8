"""Traces of what the server does; without them being switched on, nothing of OpenTelemetry is loaded."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from orchestrator.settings import SettingsError, Tracing
from worker_client.errors import ConfigurationError

if TYPE_CHECKING:
    from orchestrator.telemetry.traces import Traces

logged_trace_id: ContextVar[str] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}trace_id")
_in_use: "list[Traces]" = []
SERVICE: Final = "orchestrator"


def begun(settings: Tracing) -> "Traces | None":
    """What makes the server's spans, when it is to. Raises SettingsError without the libraries."""
    if not settings.enabled:
        return None
    try:
        module: Any = import_module("orchestrator.telemetry.traces")
    except ModuleNotFoundError as error:
        told = f"[tracing] enabled is true, and OpenTelemetry is not installed: pip install 'task-orchestrator[otel]' ({error})"
        raise SettingsError(told) from None
    try:
        traces: Traces = module.Traces.sending(settings.endpoint)
    except ConfigurationError as error:
        raise SettingsError(f"[tracing] enabled is true: {error}") from None
    return traces


@contextlib.contextmanager
def using(traces: "Traces | None") -> Iterator[None]:
    """Loops of this process tell these of their work."""
    if traces is None:
        yield
        return
    _in_use.append(traces)
    try:
        yield
    finally:
        _in_use.remove(traces)
        traces.close()


@contextlib.contextmanager
def work(name: str) -> Iterator[str | None]:
    """Something that the server does by itself: the traceparent of what follows from it, None without traces."""
    if not _in_use:
        yield None
        return
    with _in_use[-1].work(name) as span:
        token = logged_trace_id.set(span.trace_id)
        try:
            yield span.traceparent
        finally:
            logged_trace_id.reset(token)
