"""opencode's output, as recorded from it, and broken in every way."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from tests.unit.worker_client.agent.streams import ASSIGNMENT, recorded, replayed
from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.output import LINE_LIMIT
from worker_client.processes import Ended
from worker_client.runners.agent.opencode import TRIES, OpenCode, OpenCodeReader
from worker_client.runners.agent.protocol import Class
from worker_client.runners.agent.settings import AgentSettings

OPENCODE = OpenCode()
ENDED = Ended(0, None, 0.0, 0)
KILLED = Ended(None, "SIGTERM", 0.0, 0)
NOW = datetime(2026, 11, 21, 22, 7, tzinfo=UTC)
STEP = {"type": "step_start", "sessionID": "ses_1", "part": {}}


def logged(error: str, *, small: bool = False) -> str:
    return (
        'timestamp=2026-11-21T22:00:31.782Z level=ERROR run=b423c056 message="stream error" providerID=p modelID=m '
        f'session.id=ses_1 small={str(small).lower()} agent=build mode=primary error.error="AI_APICallError: {error}"'
    )


@pytest.mark.parametrize(
    ("case", "outcome", "words"),
    [
        ("done", Class.DONE, ""),
        ("resumed", Class.DONE, ""),
        ("tools", Class.DONE, ""),
        ("limited", Class.QUOTA, "Rate limit reached"),
        ("refused", Class.AUTH, "Incorrect API key"),
        ("stalled", Class.KILLED, "SIGTERM"),
        ("lost", Class.FAILED, "Session not found"),
    ],
)
def test_outcomes(case: str, outcome: Class, words: str) -> None:
    reader, _, verdict = replayed(OPENCODE, case)
    assert verdict.outcome is outcome
    assert words in verdict.message
    assert verdict.session_lost is (case == "lost")
    assert (reader.report.session_id or "").startswith("ses_") is (case != "lost")


def test_what_it_said_of_itself() -> None:
    reader, log, _ = replayed(OPENCODE, "tools")
    assert reader.report.final_text == "It printed one."
    usage = reader.report.usage
    assert usage == Usage(input_tokens=140, output_tokens=40, cached_tokens=60, cost_usd=usage.cost_usd)
    assert usage.cost_usd == pytest.approx(0.00022)
    assert log == ["> bash: echo one; pwd; false", "! one /srv/project", "It printed one."]


def test_when_a_limit_ends() -> None:
    reader = OpenCodeReader(None, lambda: NOW)
    assert reader.line(logged("Rate limit reached. Please try again in 3593s."), LogStream.STDERR) != []
    assert reader.report.finished
    assert reader.verdict(KILLED).resets_at == NOW + timedelta(seconds=3593)


def test_a_short_limit_is_left_to_it() -> None:
    reader = OpenCodeReader(None, lambda: NOW)
    reader.line(logged("Rate limit reached. Please try again in 20s."), LogStream.STDERR)
    assert not reader.report.finished
    reader.line(json.dumps(STEP), LogStream.STDOUT)
    reader.line(json.dumps({"type": "step_finish", "part": {"reason": "stop"}}), LogStream.STDOUT)
    assert reader.verdict(ENDED).outcome is Class.DONE


def test_a_limit_without_an_end_is_believed_after_some_tries() -> None:
    reader = OpenCodeReader(None, lambda: NOW)
    for tried in range(TRIES):
        assert not reader.report.finished
        assert bool(reader.line(logged("Too Many Requests"), LogStream.STDERR)) is (tried == 0)
    assert reader.report.finished
    verdict = reader.verdict(KILLED)
    assert (verdict.outcome, verdict.resets_at) == (Class.QUOTA, None)


def test_that_it_found_no_title_is_nobodys_business() -> None:
    reader = OpenCodeReader(None, lambda: NOW)
    assert reader.line(logged("Too Many Requests", small=True), LogStream.STDERR) == []
    assert reader.verdict(KILLED).outcome is Class.KILLED


@pytest.mark.parametrize(("reason", "outcome"), [("stop", Class.DONE), ("tool-calls", Class.FAILED), ("length", Class.FAILED)])
def test_why_the_last_step_stopped(reason: str, outcome: Class) -> None:
    reader = OpenCodeReader(None)
    for event in (STEP, {"type": "step_finish", "part": {"reason": reason}}):
        reader.line(json.dumps(event), LogStream.STDOUT)
    assert reader.verdict(ENDED).outcome is outcome


def test_an_error_with_a_time_to_wait_in_its_headers() -> None:
    reader = OpenCodeReader(None, lambda: NOW)
    data = {"message": "no more", "statusCode": 429, "responseHeaders": {"retry-after": "120"}}
    reader.line(
        json.dumps({"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": data}}), LogStream.STDOUT
    )
    verdict = reader.verdict(Ended(1, None, 0.0, 0))
    assert (verdict.outcome, verdict.resets_at) == (Class.QUOTA, NOW + timedelta(seconds=120))


def test_an_error_that_it_got_over_is_forgotten() -> None:
    reader = OpenCodeReader(None)
    failed = {"type": "error", "error": {"name": "ContextOverflowError", "data": {"message": "too long"}}}
    reader.line(json.dumps(failed), LogStream.STDOUT)
    assert reader.verdict(Ended(1, None, 0.0, 0)).outcome is Class.FAILED
    for event in (STEP, {"type": "step_finish", "part": {"reason": "stop"}}):
        reader.line(json.dumps(event), LogStream.STDOUT)
    assert reader.verdict(ENDED).outcome is Class.DONE


@pytest.mark.parametrize("case", ["done", "tools", "limited", "refused"])
def test_broken_and_missing_lines_break_nothing(case: str) -> None:
    lines, _ = recorded("opencode", case)
    for cut in range(len(lines)):
        reader = OpenCodeReader(None)
        for stream, text in [*lines[:cut], (LogStream.STDOUT, lines[cut][1][: len(lines[cut][1]) // 2])]:
            reader.line(text, stream)
        assert reader.verdict(KILLED).outcome is not Class.DONE


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], {"state": 3}, {"data": [], "tokens": 1, "cost": "x"}])
def test_events_of_an_unexpected_shape(value: object) -> None:
    reader = OpenCodeReader(None)
    for kind in ("step_start", "text", "tool_use", "step_finish", "error"):
        for name in ("part", "error", "sessionID"):
            assert all(isinstance(line, str) for line in reader.line(json.dumps({"type": kind, name: value}), LogStream.STDOUT))
    assert isinstance(reader.verdict(ENDED).message, str)


def test_how_it_is_started() -> None:
    launch = OPENCODE.launch(structs.replace(ASSIGNMENT, session_id="ses_1", model="p/m"), AgentSettings(args=["--variant=high"]))
    assert launch.argv[:4] == ["opencode", "run", "--format", "json"]
    assert launch.argv[-5:] == ["--session", "ses_1", "--model", "p/m", "--variant=high"]
    assert launch.stdin == ASSIGNMENT.prompt_file


@pytest.mark.parametrize("part", ["session.id=a ", 'session.id=a error="', "error= "])
def test_a_line_of_its_log_that_repeats_itself_takes_no_time(part: str) -> None:
    reader = OPENCODE.reader(ASSIGNMENT, AgentSettings())
    began = time.process_time()
    reader.line("timestamp=1 level=ERROR " + part * (LINE_LIMIT // len(part)), LogStream.STDERR)
    assert time.process_time() - began < 1
