"""Claude Code's output, as recorded from it, and broken in every way."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.unit.worker_client.agent.streams import ASSIGNMENT, recorded, replayed
from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.claude import Claude
from worker_client.runners.agent.protocol import Class, Verdict
from worker_client.runners.agent.settings import AgentSettings

CLAUDE = Claude()
KILLED = Ended(None, "SIGKILL", 0.0, 0)


@pytest.mark.parametrize(
    ("case", "outcome", "words"),
    [
        ("done", Class.DONE, ""),
        ("resumed", Class.DONE, ""),
        ("tools", Class.DONE, ""),
        ("denied", Class.DONE, ""),
        ("asked", Class.DONE, ""),
        ("answered", Class.DONE, ""),
        ("limited", Class.QUOTA, "You've hit your session limit"),
        ("limited_key", Class.QUOTA, "(429)"),
        ("no_credit", Class.QUOTA, "Credit balance is too low"),
        ("refused", Class.AUTH, ""),
        ("forbidden", Class.AUTH, "403 Your organization has disabled access"),
        ("logged_out", Class.AUTH, "Please run /login"),
        ("budget", Class.BUDGET, "Reached maximum budget"),
        ("overloaded", Class.FAILED, "529 Overloaded"),
        ("no_model", Class.FAILED, "issue with the selected model"),
        ("interrupted", Class.FAILED, ""),
        ("lost", Class.FAILED, "No conversation found"),
        ("terminated", Class.KILLED, "143"),
    ],
)
def test_outcomes(case: str, outcome: Class, words: str) -> None:
    _, _, verdict = replayed(CLAUDE, case)
    assert verdict.outcome is outcome
    assert words in verdict.message
    assert verdict.session_lost is (case == "lost")
    assert verdict.retryable is (case != "no_model")


def test_when_a_limit_ends() -> None:
    assert replayed(CLAUDE, "limited")[2].resets_at == datetime(2026, 11, 21, 22, 52, 32, tzinfo=UTC)
    assert replayed(CLAUDE, "limited_key")[2].resets_at is None


def test_what_it_said_of_itself() -> None:
    reader, log, _ = replayed(CLAUDE, "tools")
    report = reader.report
    assert report.session_id == "31111111-2222-4333-8444-555555555555"
    assert (report.version, report.model) == ("2.1.197", "claude-opus-4-8[1m]")
    assert report.final_text == report.activity == "All done."
    assert log == ["> Bash: echo tool ran", "< tool ran", "All done."]
    assert report.usage == Usage(
        input_tokens=2060,
        output_tokens=1000,
        cached_tokens=400,
        cost_usd=0.035575,
        duration_ms=196,
        model="claude-opus-4-8[1m]",
    )
    assert report.finished


def test_what_a_resumed_session_used_is_of_this_run_alone() -> None:
    assert replayed(CLAUDE, "resumed")[0].report.usage.cost_usd == replayed(CLAUDE, "done")[0].report.usage.cost_usd


def test_what_it_was_not_allowed_to() -> None:
    reader, log, _ = replayed(CLAUDE, "denied")
    assert reader.report.denials == ["Bash: touch made"]
    assert any(line.startswith("! Permission to use Bash has been denied") for line in log)


def test_a_run_that_is_killed_has_used_what_its_messages_say() -> None:
    reader, _, _ = replayed(CLAUDE, "terminated")
    assert (reader.report.session_id, reader.report.usage.input_tokens) == ("a1111111-2222-4333-8444-555555555551", 1030)
    assert not reader.report.finished


def test_a_budget_that_is_used_up_says_what_it_cost() -> None:
    usage = replayed(CLAUDE, "budget")[0].report.usage
    assert (usage.cost_usd, usage.input_tokens) == (0.0177875, 1030)


def test_a_refused_key_is_not_waited_for_through_all_of_its_retries() -> None:
    reader = CLAUDE.reader(ASSIGNMENT, AgentSettings())
    lines, _ = recorded("claude", "refused")
    for read, (stream, text) in enumerate(lines):
        assert reader.report.finished is (read > 4)
        reader.line(text, stream)
    assert reader.verdict(KILLED).outcome is Class.AUTH


@pytest.mark.parametrize("case", ["done", "tools", "limited", "terminated", "lost"])
def test_no_cut_of_its_output_is_taken_for_success(case: str) -> None:
    """It dies in the middle of any line: without the last one whole, nothing says that it is done."""
    lines, _ = recorded("claude", case)
    for kept in range(len(lines)):
        text = lines[kept][1]
        for rest in ("", text[: len(text) // 2], text[:-1]):
            reader = CLAUDE.reader(ASSIGNMENT, AgentSettings())
            for stream, whole in lines[:kept]:
                reader.line(whole, stream)
            reader.line(rest, LogStream.STDOUT)
            assert reader.verdict(KILLED).outcome is not Class.DONE
            assert reader.verdict(Ended(0, None, 0.0, 0)).outcome is not Class.DONE


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not json",
        "{",
        "[1, 2]",
        '"text"',
        "null",
        "{}" * 3,
        '{"type": 7}',
        '{"type": "assistant"}',
        '{"type": "assistant", "message": {"content": "text", "usage": 3, "id": 4}}',
        '{"type": "assistant", "message": {"id": "","content": [1, {"type": "text", "text": 5}], "usage": {"input_tokens": -4}}}',
        '{"type": "user", "message": {"content": [{"type": "tool_result", "content": {"a": 1}}]}}',
        '{"type": "system", "subtype": "api_retry", "error_status": null, "attempt": "x"}',
        '{"type": "rate_limit_event"}',
        '{"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1e300}}',
        '{"type": "rate_limit_event", "rate_limit_info": {"status": "allowed", "resetsAt": 1795301552}}',
        "[" * 100_000,
    ],
)
def test_lines_that_nobody_expects_change_nothing(line: str) -> None:
    reader = CLAUDE.reader(ASSIGNMENT, AgentSettings())
    lines, ended = recorded("claude", "limited_key")
    for stream, text in lines:
        reader.line(line, LogStream.STDOUT)
        reader.line(text, stream)
    assert reader.verdict(ended) == Verdict(
        outcome=Class.QUOTA,
        message="API Error: Request rejected (429) · "
        "This request would exceed your account's rate limit. Please try again later.",
    )
    assert not reader.report.usage.input_tokens


def test_half_a_character_and_nul() -> None:
    reader = CLAUDE.reader(ASSIGNMENT, AgentSettings())
    text = r'{"type": "result", "subtype": "success", "is_error": false, "result": "cut \ud83d and \u0000 end"}'
    assert reader.line(text, LogStream.STDOUT) == []
    assert reader.report.final_text == "cut ? and \ufffd end"
    assert reader.verdict(Ended(0, None, 0.0, 0)).outcome is Class.DONE


def test_what_it_is_started_with() -> None:
    launch = CLAUDE.launch(ASSIGNMENT, AgentSettings())
    assert launch.argv[:5] == ["claude", "-p", "--output-format", "stream-json", "--verbose"]
    assert launch.argv[5:] == ["--session-id", ASSIGNMENT.fresh_session_id, "--permission-mode", "dontAsk"]
    assert launch.stdin == ASSIGNMENT.prompt_file
    again = msgspec.structs.replace(ASSIGNMENT, session_id="s-1", model="opus", budget_usd=0.25)
    settings = AgentSettings(program="/usr/local/bin/claude", args=["--permission-mode=acceptEdits", "--allowedTools", "Bash"])
    assert CLAUDE.launch(again, settings).argv[5:] == [
        *("--resume", "s-1", "--model", "opus", "--max-budget-usd", "0.2500"),
        *settings.args,
    ]


def test_all_of_its_errors_are_read_and_not_only_the_first() -> None:
    reader = CLAUDE.reader(ASSIGNMENT, AgentSettings())
    event = {"type": "result", "subtype": "error_during_execution", "is_error": True, "errors": ["one", 2, "three"]}
    reader.line(json.dumps(event), LogStream.STDOUT)
    assert reader.verdict(Ended(1, None, 0.0, 0)).message == "one; three"


@pytest.mark.parametrize("status", [401, 429])
@pytest.mark.parametrize("end", [{"subtype": "error_max_turns", "result": ""}, None], ids=["failed", "killed"])
def test_a_refusal_that_it_got_over_says_nothing_of_how_it_ended(status: int, end: dict[str, Any] | None) -> None:
    reader = CLAUDE.reader(ASSIGNMENT, AgentSettings())
    events: list[dict[str, Any]] = [
        {"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": status},
        {"type": "assistant", "message": {"id": "m", "model": "opus", "content": [{"type": "text", "text": "I go on."}]}},
        *([{"type": "result", "is_error": True, **end}] if end else []),
    ]
    for event in events:
        reader.line(json.dumps(event), LogStream.STDOUT)
    assert reader.verdict(KILLED).outcome is (Class.FAILED if end else Class.KILLED)
