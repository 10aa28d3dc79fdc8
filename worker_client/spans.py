"""Spans with OpenTelemetry: imported only by those who trace. No prompt, output or error text ever becomes an attribute."""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.trace import Span as Spanning
from opentelemetry.util.types import AttributeValue

NAME: Final = "task-orchestrator"
ENDING_SECONDS: Final = 1.0
"""For what is not sent by the end; a collector that is away must not keep anybody."""
_SILENT_SECONDS: Final = 300.0

Attributes = Mapping[str, AttributeValue | None]


class Span:
    """One span; its end is whoever's who began it."""

    __slots__ = ("_span",)

    def __init__(self, span: Spanning) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What those who belong below it are told."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @property
    def trace_id(self) -> str:
        """As logs have it."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def recorded(self) -> bool:
        """Whether it is going to be sent."""
        return self._span.is_recording()

    @property
    def link(self) -> Link:
        """To it, from a span elsewhere."""
        return Link(self._span.get_span_context())

    def name(self, name: str) -> None:
        """Call it by another name."""
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """Say more about it; None is left out."""
        self._span.set_attributes(_known(attributes))

    def failed(self, kind: str) -> None:
        """It failed, with an error of this kind."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """It is over."""
        self._span.end()


class Spans:
    """Makes spans; a `parent` is a traceparent, None begins a trace."""

    def __init__(self, tracer: Tracer, close: "threading.Thread | None" = None) -> None:
        self._tracer = tracer
        self._closing = close

    def begin(
        self,
        name: str,
        parent: str | None,
        attributes: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
        at: int | None = None,
    ) -> Span:
        """A span that begins now, or began `at`, in ns."""
        known = _known(attributes)
        return Span(self._tracer.start_span(name, _context(parent), kind, known, links=links, start_time=at))

    @contextmanager
    def active(
        self, name: str, parent: str | None, attributes: Attributes, *, kind: SpanKind = SpanKind.INTERNAL
    ) -> Iterator[Span]:
        """A span that all belongs below that is done inside; an exception is told by its type alone."""
        span = self._tracer.start_span(name, _context(parent), kind, _known(attributes))
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            told = Span(span)
            try:
                yield told
            except BaseException as error:
                told.failed(type(error).__qualname__)
                raise

    def close(self) -> None:
        """Send what is not sent yet, for a few seconds at the most."""
        if self._closing is not None:
            self._closing.start()
            self._closing.join(ENDING_SECONDS)


def of_program() -> Spans:
    """With the provider that the program has set up for itself."""
    return Spans(trace.get_tracer(NAME))


def start(service: str, endpoint: str) -> Spans:
    """Send spans over HTTP, in the background. The environment of OpenTelemetry is heeded: sampler, resource, headers ..."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - not for of_program
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - nor this
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - nor this
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - nor this

    _hush()
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = TracerProvider(resource=Resource.create({**named, "process.pid": os.getpid()}), shutdown_on_exit=False)
    traces = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=traces)))
    trace.set_tracer_provider(provider)
    return Spans(provider.get_tracer(NAME), threading.Thread(target=provider.shutdown, name="last spans", daemon=True))


def remote(traceparent: str | None) -> SpanContext | None:
    """The span that a traceparent stands for; None when it stands for none."""
    parts = (traceparent or "").split("-")
    try:
        trace_id, span_id, flags = int(parts[1], 16), int(parts[2], 16), int(parts[3], 16)
    except (IndexError, ValueError):
        return None
    found = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return found if found.is_valid else None


def sampled(traceparent: str | None) -> bool:
    """Whether spans of a trace are wanted."""
    found = remote(traceparent)
    return found is not None and found.trace_flags.sampled


def _context(parent: str | None) -> Context:
    found = remote(parent)
    return Context() if found is None else trace.set_span_in_context(NonRecordingSpan(found), Context())


def _known(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}


class _Seldom(logging.Filter):
    """That the collector is away is said every five minutes, not with each batch."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if self._said_at is not None and now - self._said_at < _SILENT_SECONDS:
            return False
        self._said_at = now
        record.msg, record.args = "spans cannot be sent to the collector and are dropped: %s", (record.getMessage()[:300],)
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return True


def _hush() -> None:
    seldom = _Seldom()
    for name in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(name).addFilter(seldom)
