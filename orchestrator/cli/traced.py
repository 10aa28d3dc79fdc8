"""A span around a command, where ORCHESTRATOR_TRACING asks for traces."""

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.cli.exits import Exit, fail
from worker_client import tracing
from worker_client.errors import ConfigurationError


@contextmanager
def traced(command: str) -> Iterator[None]:
    """What the command asks of a server belongs below a span of its own; arguments are not noted down."""
    try:
        with tracing.exporting("orchestrator-cli"):
            spans = tracing.spans()
            if spans is None:
                yield
                return
            from opentelemetry.trace import SpanKind

            with spans.active(f"orchestrator {command}", tracing.current(), {}, kind=SpanKind.CLIENT):
                yield
    except ConfigurationError as error:
        fail(str(error), Exit.USAGE)
