"""Gemini's output, as recorded from it, and broken in every way."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from tests.unit.worker_client.agent.streams import ASSIGNMENT, recorded, replayed
from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.gemini import Gemini, GeminiReader
from worker_client.runners.agent.protocol import Class
from worker_client.runners.agent.settings import AgentSettings

GEMINI = Gemini()
ENDED = Ended(0, None, 0.0, 0)
KILLED = Ended(None, "SIGKILL", 0.0, 0)
NOW = datetime(2026, 11, 21, 22, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("case", "outcome", "words"),
    [
        ("done", Class.DONE, ""),
        ("resumed", Class.DONE, ""),
        ("tools", Class.DONE, ""),
        ("limited", Class.QUOTA, "exhausted your daily quota"),
        ("refused", Class.AUTH, "API key not valid"),
        ("stalled", Class.KILLED, "SIGKILL"),
        ("lost", Class.FAILED, "Invalid session identifier"),
    ],
)
def test_outcomes(case: str, outcome: Class, words: str) -> None:
    reader, _, verdict = replayed(GEMINI, case)
    assert verdict.outcome is outcome
    assert words in verdict.message
    assert verdict.session_lost is (case == "lost")
    assert (reader.report.session_id is None) is (case == "lost")


def test_what_it_said_of_itself() -> None:
    reader, log, _ = replayed(GEMINI, "tools")
    report = reader.report
    assert report.final_text == "It printed one."
    assert (report.model, report.usage.model) == ("gemini-2.5-flash", "scripted-model")
    used = structs.replace(report.usage, duration_ms=0, model=None)
    assert used == Usage(input_tokens=140, output_tokens=40, cached_tokens=60)
    assert "> run_shell_command: echo one; pwd; false" in log
    assert "< one /srv/project" in log


def test_a_resumed_session_keeps_its_name() -> None:
    assert replayed(GEMINI, "resumed")[0].report.session_id == replayed(GEMINI, "done")[0].report.session_id


def test_when_a_limit_ends_stands_on_standard_error() -> None:
    reader = GeminiReader(lambda: NOW)
    lines, ended = recorded("gemini", "limited")
    for stream, text in lines:
        reader.line(text, stream)
    at = reader.verdict(ended).resets_at
    assert at is not None
    assert timedelta(minutes=59) < at - NOW <= timedelta(hours=1)


def test_who_is_not_logged_in_is_told_by_the_exit_code() -> None:
    reader = GeminiReader()
    reader.line("When using Gemini API, you must specify the GEMINI_API_KEY environment variable.", LogStream.STDERR)
    assert reader.verdict(Ended(41, None, 0.0, 0)).outcome is Class.AUTH


def test_what_comes_in_pieces_is_one_text_until_a_tool_is_called() -> None:
    reader = GeminiReader()
    pieces = [{"type": "message", "role": "assistant", "content": text, "delta": True} for text in ("I ", "look")]
    call = {"type": "tool_use", "tool_name": "read_file", "parameters": {"path": "a.py"}}
    last = [{"type": "message", "role": "assistant", "content": text, "delta": True} for text in ("all ", "good")]
    for event in (*pieces, call, *last, {"type": "result", "status": "success"}):
        reader.line(json.dumps(event), LogStream.STDOUT)
    assert reader.report.final_text == "all good"
    assert reader.verdict(ENDED).outcome is Class.DONE


@pytest.mark.parametrize("case", ["done", "tools", "limited", "refused"])
def test_broken_and_missing_lines_break_nothing(case: str) -> None:
    lines, _ = recorded("gemini", case)
    last = max(at for at, (stream, _) in enumerate(lines) if stream is LogStream.STDOUT)
    for cut in range(last + 1):
        reader = GeminiReader()
        for stream, text in [*lines[:cut], (LogStream.STDOUT, lines[cut][1][: len(lines[cut][1]) // 2])]:
            reader.line(text, stream)
        assert reader.verdict(KILLED).outcome is not Class.DONE


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], {"message": 3}, {"models": [], "input": "x"}])
def test_events_of_an_unexpected_shape(value: object) -> None:
    reader = GeminiReader()
    for kind in ("init", "message", "tool_use", "tool_result", "error", "result"):
        for name in ("session_id", "role", "content", "parameters", "error", "stats", "message"):
            assert all(isinstance(line, str) for line in reader.line(json.dumps({"type": kind, name: value}), LogStream.STDOUT))
    assert isinstance(reader.verdict(ENDED).message, str)


def test_how_it_is_started() -> None:
    launch = GEMINI.launch(ASSIGNMENT, AgentSettings())
    assert launch.argv[-4:] == ["--session-id", ASSIGNMENT.fresh_session_id, "--approval-mode", "yolo"]
    launch = GEMINI.launch(structs.replace(ASSIGNMENT, session_id="abc"), AgentSettings(args=["--approval-mode=auto_edit"]))
    assert launch.argv[-3:] == ["--resume", "abc", "--approval-mode=auto_edit"]
    assert launch.stdin == ASSIGNMENT.prompt_file
