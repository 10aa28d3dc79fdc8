"""One trace from who puts a task in, through server and worker, to what the worker runs: real processes, a real receiver."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.programs import ROOT, Server, end, environment, orchestrator, serving
from tests.collector import Collector, collecting

pytestmark = pytest.mark.system

SECRET = "hunter2-in-a-prompt"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def traced(collector: Collector) -> dict[str, str]:
    """The environment of a program that traces."""
    return {
        "ORCHESTRATOR_TRACING": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


def work(server: Server, directory: Path) -> subprocess.CompletedProcess[str]:
    """A worker that does what waits, and ends."""
    line = [sys.executable, "-m", "worker_client.cli", "run", "--dir", str(directory), "--once", "--log-format", "json"]
    return subprocess.run(line, env=environment(**server.variables), capture_output=True, text=True, check=False, timeout=60)


def test_a_task_is_one_trace_across_all_that_touch_it(tmp_path: Path, collector: Collector) -> None:
    own = {"APP_TRACING_ENABLED": "true", "OTEL_BSP_SCHEDULE_DELAY": "50", "APP_LOG_FORMAT": "json", "APP_LOG_LEVEL": "debug"}
    variables = {**own, "APP_TRACING_ENDPOINT": collector.address}
    again = f"{sys.executable} -m orchestrator.cli add again --delay 1h --dir {tmp_path}"
    script = f'echo "$TRACEPARENT" > {tmp_path}/seen; {again}'
    passed = {**traced(collector), **environment()}
    with serving(tmp_path, **variables) as server:
        given = ["add", SECRET, "--command", script, "--dir", str(tmp_path), "--title", SECRET]
        for name in ("ORCHESTRATOR_TRACING", "OTEL_EXPORTER_OTLP_ENDPOINT", "PYTHONPATH"):
            given += ["--env", f"{name}={passed[name]}"]
        server.variables |= traced(collector)
        added = server.run(*given)
        assert added.returncode == 0, added.stderr
        worked = work(server, tmp_path)
        assert worked.returncode == 0, worked.stderr
        assert (tmp_path / "seen").exists(), server.run("logs", "1").stdout
        end(server.process)
    found = collector.wait("orchestrator add", "claim", "attempt script", "complete", "commit", "enqueue")
    trace = found["attempt script"].trace
    first, second = collector.named("orchestrator add")
    assert {first.trace, second.trace, found["claim"].trace, found["complete"].trace} == {trace}
    posts = {span.parent: span for span in collector.named("POST /api/v1/tasks")}
    enqueued = {span.parent: span for span in collector.named("enqueue")}
    completing = {span.parent: span for span in collector.named("POST /api/v1/tasks/{task_id}/complete")}
    assert first.parent == "", "the command begins the trace"
    assert posts[first.id].parent == first.id
    assert enqueued[posts[first.id].id].trace == trace
    assert found["claim"].parent == posts[first.id].id
    assert found["attempt script"].parent == found["claim"].id
    assert (tmp_path / "seen").read_text().startswith(f"00-{trace}-{found['attempt script'].id}-0")
    assert second.parent == found["attempt script"].id, "what the script starts belongs below its attempt"
    assert second.id in posts
    assert found["complete"].parent == completing[found["attempt script"].id].id
    commits = {span.id for span in collector.named("commit")}
    assert set(found["complete"].links) <= commits
    assert found["complete"].links
    assert {span.service for span in collector.spans} == {"orchestrator", "orchestrator-worker", "orchestrator-cli"}
    told = found["attempt script"].attributes
    assert (told["orchestrator.attempt.outcome"], told["messaging.message.id"]) == ("completed", "1")
    assert (told["orchestrator.task.kind"], told["messaging.destination.name"]) == ("script", str(tmp_path))
    assert SECRET.encode() not in collector.raw
    lines = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    assert {line["trace_id"] for line in lines if line.get("route") == "/api/v1/tasks/{task_id}/complete"} == {trace}
    assert {json.loads(line).get("trace_id") for line in worked.stderr.splitlines() if "task 1" in line} >= {trace}


def test_a_worker_that_does_not_trace_passes_the_trace_on(tmp_path: Path) -> None:
    sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with serving(tmp_path) as server:
        for number, trace in enumerate((sent, "")):
            server.variables["TRACEPARENT"] = trace
            script = f'echo "$TRACEPARENT" > {tmp_path}/{number}'
            assert server.run("add", "x", "--command", script, "--dir", str(tmp_path)).returncode == 0
        assert work(server, tmp_path).returncode == 0
    assert ((tmp_path / "0").read_text(), (tmp_path / "1").read_text()) == (f"{sent}\n", "\n")


def test_the_program_of_the_page_puts_its_task_into_its_trace(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/tracing.md").read_text(), re.DOTALL)
    with serving(tmp_path) as server:
        setup = "from opentelemetry.sdk.trace import TracerProvider\nfrom opentelemetry import trace\n"
        setup += "trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))\n"
        after = "\nwith Client() as client:\n    print(client.claim(work_path=['/srv/shop'], worker_id='w', wait=0).traceparent)"
        line = [sys.executable, "-c", setup + program + after]
        ran = subprocess.run(line, env=environment(**server.variables), capture_output=True, text=True, check=False, timeout=60)
        assert ran.stdout.startswith("00-"), ran.stderr


def test_a_collector_that_is_away_is_in_nobodys_way(tmp_path: Path) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50", "ORCHESTRATOR_TRACING": "1"}
    with serving(tmp_path, APP_TRACING_ENABLED="true", APP_LOG_FORMAT="json", **away) as server:
        server.variables |= away
        for number in range(3):
            assert server.run("add", f"{number}", "--command", "true", "--dir", str(tmp_path)).returncode == 0
        assert work(server, tmp_path).returncode == 0
        assert {task["status"] for task in server.json("list")["items"]} == {"completed"}
        began = time.monotonic()
        assert end(server.process) == 0
        assert time.monotonic() - began < 10
    events = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    assert len([one for one in events if "spans cannot be sent" in one["event"]]) <= 1
    assert [one for one in events if one["level"] == "error"] == []


def test_sampling_is_as_the_environment_says(tmp_path: Path, collector: Collector) -> None:
    variables = {**traced(collector), "APP_TRACING_ENABLED": "true", "OTEL_TRACES_SAMPLER": "always_off"}
    with serving(tmp_path, **variables) as server:
        server.variables |= variables
        assert server.run("add", "x", "--command", f"echo $TRACEPARENT > {tmp_path}/seen", "--dir", str(tmp_path)).returncode == 0
        assert work(server, tmp_path).returncode == 0
        end(server.process)
    flags = (tmp_path / "seen").read_text().strip().split("-")[3]
    assert int(flags, 16) & 1 == 0
    assert collector.spans == []


def test_without_the_libraries_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").write_text('raise ModuleNotFoundError("No module named opentelemetry")')
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "ORCHESTRATOR_TRACING": "1", "APP_TRACING_ENABLED": "true"}
    for command in (["serve", "--port", "0"], ["list"]):
        ran = orchestrator(*command, cwd=tmp_path, **path)
        assert ran.returncode == Exit.USAGE, ran.stderr
        assert "pip install 'task-orchestrator[otel]'" in ran.stderr
    line = [sys.executable, "-m", "worker_client.cli", "run", "--dir", str(tmp_path), "--once"]
    worker = subprocess.run(line, env=environment(**path), capture_output=True, text=True, check=False, timeout=60)
    assert worker.returncode == 1
    assert "pip install 'task-orchestrator[otel]'" in worker.stderr
