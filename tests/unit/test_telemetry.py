import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.doors.redaction import Redaction
from orchestrator.settings import Log
from orchestrator.telemetry import logs
from orchestrator.telemetry.gauges import FULL, OTHER, TOP_DIRECTORIES, DirectoryWaiting, QueueSnapshot
from orchestrator.telemetry.metrics import MOST_NAMES, Metrics


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    yield io.StringIO()
    logs.redact(None)
    logs.choose("info")
    for handler in root.handlers:
        handler.close()
    root.handlers = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_context(stream: io.StringIO) -> None:
    logs.setup(Log(format="json"), stream)
    with logs.context(request_id="r", task_id=7):
        structlog.get_logger().info("claimed", worker_id="w")
    structlog.get_logger().info("outside")
    first, second = lines(stream)
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "claimed", "level": "info", "request_id": "r", "task_id": 7, "worker_id": "w"}
    assert "request_id" not in second


def test_a_terminal_gets_words_and_a_pipe_gets_json(stream: io.StringIO) -> None:
    logs.setup(Log(format="auto"), stream)
    structlog.get_logger().info("hello")
    assert lines(stream)[0]["event"] == "hello"
    other = io.StringIO()
    logs.setup(Log(format="pretty"), other)
    structlog.get_logger().info("hello", n=1)
    assert "hello" in other.getvalue()
    assert "n=1" in other.getvalue()


def test_levels_below_the_chosen_one_are_silent(stream: io.StringIO) -> None:
    logs.setup(Log(level="warning", format="json"), stream)
    structlog.get_logger().info("no")
    logging.getLogger("uvicorn.error").info("no")
    structlog.get_logger().warning("yes")
    logging.getLogger("uvicorn.error").warning("yes %s", "too")
    assert [line["event"] for line in lines(stream)] == ["yes", "yes too"]


def test_loggers_in_use_follow_another_level(stream: io.StringIO) -> None:
    logs.setup(Log(level="info", format="json"), stream)
    log, bound, library = structlog.get_logger(), structlog.get_logger().bind(a=1), logging.getLogger("some.library")
    for level, heard in (("info", False), ("debug", True), ("warning", False), ("debug", True)):
        logs.choose(level)
        for one in (log, bound, library):
            one.debug(level)
        assert [line["event"] for line in lines(stream)] == ([level] * 3 if heard else [])
        stream.truncate(0)
        stream.seek(0)
    logging.getLogger("httpx").debug("with headers")
    assert lines(stream) == []


@pytest.mark.parametrize("output", ["json", "pretty"])
def test_what_a_rule_masks_is_masked_wherever_it_stands(stream: io.StringIO, output: Any, tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    logs.setup(Log(format=output, file=str(file)), stream)
    bound = structlog.get_logger().bind()
    bound.info("before")
    logs.redact(Redaction([r"20\d\d-\d\d"], ["hunter22"]).value)
    bound.warning("hunter22", path=Path("/hunter22"), nested={"hunter22": ["<hunter22>", 1.5]})
    logging.getLogger("library").warning("with %s", "hunter22")
    bound.error("failed", exc_info=ValueError("hunter22"))
    for text in (stream.getvalue(), file.read_text()):
        assert "hunter22" not in text
        assert "ValueError: ***" in text
        assert "<***>" in text
    assert json.loads(file.read_text().splitlines()[-1])["timestamp"].startswith("20"), "when it was is no secret"
    logs.redact(None)
    bound.warning("hunter22")
    assert "hunter22" in stream.getvalue()


def test_keys_of_our_own_are_masked_in_any_text(stream: io.StringIO) -> None:
    logs.setup(Log(format="json"), stream)
    key = f"orc_0123456789ab_{'5' * 48}"
    structlog.get_logger().info(f"with {key}", note=f"x{key.replace('orc', 'ors')}x")
    assert lines(stream)[0]["event"] == "with orc_0123456789ab_***"
    assert lines(stream)[0]["note"] == "xors_0123456789ab_***x"


def test_libraries_and_warnings_take_the_same_way(stream: io.StringIO) -> None:
    logs.setup(Log(level="debug", format="json"), stream)
    with logs.context(request_id="r"):
        logging.getLogger("uvicorn.error").error("gone")
    logging.getLogger("aiosqlite").debug("executing INSERT with its values")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    library, warning = lines(stream)
    assert (library["logger"], library["request_id"], library["level"]) == ("uvicorn.error", "r", "error")
    assert "old" in warning["event"]


@pytest.mark.parametrize("output", ["json", "pretty"])
def test_secrets_and_bodies_never_get_in(stream: io.StringIO, output: Any) -> None:
    logs.setup(Log(format=output), stream)
    secret = "hunter2"

    def fails() -> None:
        held = secret * 1
        raise ValueError(len(held))

    log = structlog.get_logger()
    log.info(
        "event",
        authorization=secret,
        api_key=secret,
        GITHUB_TOKEN=secret,
        password=secret,
        lease=secret,
        prompt=secret,
        result={"a": secret},
        nested={"client_secret": secret, "deep": [{"cookie": secret}]},
        note=f"Authorization: Bearer {secret}",
        url=f"postgresql://me:{secret}@db/tasks",
    )
    logging.getLogger("library").warning("connecting to http://me:%s@proxy", secret)
    try:
        fails()
    except ValueError:
        log.exception("failed")
    assert secret not in stream.getvalue()


def test_what_is_no_secret_stays(stream: io.StringIO) -> None:
    logs.setup(Log(format="json"), stream)
    structlog.get_logger().info("e", input_tokens=3, work_directory="/a", url="http://127.0.0.1:8080/", obj=Path("/x"))
    line = lines(stream)[0]
    assert (line["input_tokens"], line["work_directory"], line["url"]) == (3, "/a", "http://127.0.0.1:8080/")


def test_mappings_that_never_end_are_cut() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    assert logs.OMITTED in str(logs.mask(None, "info", {"x": endless}))


def test_an_exception_has_its_traceback(stream: io.StringIO) -> None:
    logs.setup(Log(format="json"), stream)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("ours")
        logging.getLogger("library").exception("theirs")
    assert all("ZeroDivisionError" in line["exception"] for line in lines(stream))


def test_the_file_gets_json_too_and_rotates(stream: io.StringIO, tmp_path: Path) -> None:
    file = tmp_path / "logs" / "server.log"
    logs.setup(Log(format="pretty", file=str(file), file_max_bytes=300, file_backups=2), stream)
    for n in range(20):
        structlog.get_logger().info("event", n=n)
    assert sorted(path.name for path in file.parent.iterdir()) == ["server.log", "server.log.1", "server.log.2"]
    assert json.loads(file.read_text().splitlines()[-1])["n"] == 19
    assert len(stream.getvalue().splitlines()) == 20


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError("no space left on device")

    logs.setup(Log(format="json"), Full())
    structlog.get_logger().error("nobody reads this")
    logging.getLogger("library").error("nor this")


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counters_gauges_and_histograms_are_written() -> None:
    metrics = Metrics("0.1.0")
    metrics.tasks_created += 3
    metrics.tasks_failed += 1
    metrics.leases_expired += 2
    metrics.committed(5, 0.002)
    metrics.responded("POST", "/api/v1/tasks", 201, 0.004)
    metrics.responded("POST", "/api/v1/tasks", 201, 0.4)
    directory = DirectoryWaiting('/a "b"', "h", 4, 1.5)
    queue = QueueSnapshot(by_status={"running": 2, "waiting": 4}, directories=[directory], parked_polls=7, backlog=1, wal_bytes=9)
    got = samples(metrics.render(queue))
    assert got["task_created_total", ()] == 3
    assert got["task_completed_total", ()] == 0
    assert got["task_failed_total", ()] == 1
    assert got["lease_expired_total", ()] == 2
    assert got["active_tasks", ()] == 2
    assert got["tasks", (("status", "waiting"),)] == 4
    assert got["parked_polls", ()] == 7
    assert got["commit_backlog", ()] == 1
    assert got["wal_size_bytes", ()] == 9
    assert got["waiting_tasks", (("host", "h"), ("work_directory", '/a "b"'))] == 4
    assert got["oldest_waiting_seconds", (("host", "h"), ("work_directory", '/a "b"'))] == 1.5
    assert got["commit_batch_size_sum", ()] == 5
    assert got["commit_duration_seconds_bucket", (("le", "0.0025"),)] == 1
    labels = (("method", "POST"), ("route", "/api/v1/tasks"), ("status", "2xx"))
    assert got["response_time_seconds_count", labels] == 2
    assert got["response_time_seconds_bucket", (("le", "0.005"), *labels)] == 1
    assert got["response_time_seconds_sum", labels] == pytest.approx(0.404)


def test_an_observation_on_a_bound_counts_below_it() -> None:
    metrics = Metrics("0.1.0")
    metrics.committed(64, 0.001)
    got = samples(metrics.render(QueueSnapshot(by_status={})))
    assert got["commit_batch_size_bucket", (("le", "64.0"),)] == 1
    assert got["commit_batch_size_bucket", (("le", "32.0"),)] == 0


def test_directories_and_methods_cannot_grow_without_bound() -> None:
    metrics = Metrics("0.1.0")
    for n in range(100):
        metrics.responded(f"METHOD{n}", "unmatched", 405, 0.1)
    many = [DirectoryWaiting(f"/{n}", "", n, float(n)) for n in range(1000)]
    got = samples(metrics.render(QueueSnapshot(by_status={}, directories=many)))
    shown = {labels: value for (name, labels), value in got.items() if name == "waiting_tasks"}
    assert len(shown) == TOP_DIRECTORIES + 1
    assert sum(shown.values()) == sum(range(1000))
    assert got["oldest_waiting_seconds", (("host", ""), ("work_directory", OTHER))] == 949
    assert len([name for name, _ in got if name == "response_time_seconds_count"]) == 1


def test_a_second_render_shows_the_second_queue() -> None:
    metrics = Metrics("0.1.0")
    metrics.render(QueueSnapshot(by_status={"running": 1}))
    assert samples(metrics.render(QueueSnapshot(by_status={"running": 5})))["active_tasks", ()] == 5


def test_kinds_and_agents_cannot_grow_without_bound() -> None:
    metrics = Metrics("0.1.0")
    for _ in range(2):
        for n in range(100):
            metrics.attempted(f"kind{n}", "completed", 1, n)
            metrics.used(f"agent{n}", {"input": 1}, 0.5)
    got = samples(metrics.render(QueueSnapshot(by_status={})))
    assert got["task_attempts_total", (("kind", "kind0"), ("outcome", "completed"))] == 2
    assert got["task_attempts_total", (("kind", OTHER), ("outcome", "completed"))] == 160
    assert len([name for name, _ in got if name == "task_attempt_duration_seconds_count"]) == MOST_NAMES + 1
    assert got["agent_cost_usd_total", (("agent", OTHER),)] == 80
    assert got["task_attempt_wait_seconds_count", ()] == 200


def test_usage_that_is_told_smaller_lowers_no_counter() -> None:
    metrics = Metrics("0.1.0")
    metrics.used("claude", {"input": 5}, 1.0)
    metrics.used("claude", {"input": -3}, -0.5)
    got = samples(metrics.render(QueueSnapshot(by_status={})))
    assert got["agent_tokens_total", (("agent", "claude"), ("type", "input"))] == 5
    assert got["agent_cost_usd_total", (("agent", "claude"),)] == 1.0


def test_every_metric_is_explained_and_named_as_prometheus_wants_it() -> None:
    metrics = Metrics("0.1.0")
    metrics.render(FULL)
    for family in metrics.collect():
        assert len(family.documentation.split()) >= 3, family.name
        assert re.fullmatch(r"[a-z][a-z_]+", family.name)
        assert not re.search(r"_(ms|millis|minutes|percent|kb|mb)(_|$)", family.name), "base units"
    text = metrics.render(FULL).decode()
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")} == {
        line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")
    }


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_what_is_logged_is_remembered_masked_whatever_is_printed(stream: io.StringIO, form: Literal["json", "pretty"]) -> None:
    logs.setup(Log(format=form), stream)
    logs.redact(Redaction([], ["swordfish"]).value)
    logs.latest.clear()
    structlog.get_logger().warning("came in", token="abc", word="the swordfish is out", n=1)
    structlog.get_logger().debug("not at this level")
    logging.getLogger("library").error("it broke")
    kept = list(logs.latest.after(0))
    first, second = (json.loads(line.text) for line in kept)
    assert [line.level for line in kept] == [logging.WARNING, logging.ERROR]
    assert (first["token"], first["word"], first["n"]) == (logs.MASK, f"the {logs.MASK} is out", 1)
    assert (second["event"], second["logger"]) == ("it broke", "library")
    assert "came in" in stream.getvalue()
