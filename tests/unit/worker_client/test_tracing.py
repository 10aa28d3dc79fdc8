"""Which trace goes on, without OpenTelemetry and with it."""

import io
import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from worker_client import endpoints, tracing
from worker_client.cli.logs import JsonLines
from worker_client.errors import ConfigurationError
from worker_client.exchange import Exchange, Retries
from worker_client.spans import Spans, _Seldom, remote, sampled

ONE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def sent() -> dict[str, str]:
    exchange = Exchange(endpoints.approve(1), "http://x", unique="u", margin=1.0, retries=Retries())
    headers: dict[str, str] = exchange.request["headers"]
    return headers


def test_the_nearest_trace_counts_and_requests_carry_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEPARENT", raising=False)
    assert tracing.current() is None
    assert "traceparent" not in sent()
    monkeypatch.setenv("TRACEPARENT", ONE)
    assert sent()["traceparent"] == ONE
    with tracing.within(OTHER):
        assert sent()["traceparent"] == OTHER
        tracer = TracerProvider(shutdown_on_exit=False).get_tracer("of the program")
        with tracer.start_as_current_span("work") as span:
            assert f"{span.get_span_context().span_id:016x}" in sent()["traceparent"]
        assert tracing.current() == OTHER
        with tracing.within(None):
            assert tracing.current() is None, "a task without a trace is not of the worker's"
    assert tracing.current() == ONE


def test_nothing_of_opentelemetry_is_loaded_where_nobody_traces() -> None:
    code = (
        "import sys\n"
        "from worker_client import tracing\n"
        "import worker_client.hiring, worker_client.job, orchestrator.app, orchestrator.cli.adding\n"
        "with tracing.exporting('x'): print(tracing.current(), tracing.spans())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": "", "TRACEPARENT": ONE}
    )
    assert ran.stdout.splitlines() == [f"{ONE} None", "[]"]


def test_without_the_libraries_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name}")

    monkeypatch.setattr(tracing, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"task-orchestrator\[otel\]"), tracing.exporting("x", {tracing.SWITCH: "1"}):
        pass
    with tracing.exporting("x", {tracing.SWITCH: "0"}):
        assert not tracing._started


@pytest.mark.parametrize("text", [None, "", "00", "x" * 55, f"00-{'0' * 32}-{'0' * 16}-01", "00-1-g-01"])
def test_what_is_no_traceparent_stands_for_nothing(text: str | None) -> None:
    assert remote(text) is None
    assert not sampled(text)


def test_a_traceparent_is_told_as_it_came() -> None:
    assert (sampled(ONE), sampled(OTHER)) == (True, False)
    provider = TracerProvider(shutdown_on_exit=False)
    with Spans(provider.get_tracer("t")).active("a", OTHER, {"left_out": None, "kept": 1}) as span:
        assert span.traceparent.startswith(OTHER[:36])
        assert not span.recorded
    assert span.traceparent != OTHER


def test_lines_of_a_worker_tell_the_trace() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    record = logging.LogRecord("x", logging.INFO, "", 0, "done", (), None)
    with tracing.within(ONE):
        handler.emit(record)
    with tracing.within(None):
        handler.emit(record)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["trace_id"] == ONE.split("-")[1]
    assert "trace_id" not in second


def test_that_the_collector_is_away_is_said_seldom() -> None:
    seldom = _Seldom()
    records = [logging.LogRecord("x", logging.ERROR, "", 0, "refused %d", (number,), None) for number in range(3)]
    assert [seldom.filter(record) for record in records] == [True, False, False]
    assert records[0].levelname == "WARNING"
    assert records[0].getMessage() == "spans cannot be sent to the collector and are dropped: refused 0"
