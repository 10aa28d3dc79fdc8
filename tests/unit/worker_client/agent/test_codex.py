"""Codex's output, as recorded from it, and broken in every way."""

import json
from datetime import UTC, datetime

import pytest
from msgspec import structs

from tests.unit.worker_client.agent.streams import ASSIGNMENT, recorded, replayed
from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.codex import Codex, CodexReader
from worker_client.runners.agent.protocol import Class
from worker_client.runners.agent.settings import AgentSettings

CODEX = Codex()
KILLED = Ended(None, "SIGKILL", 0.0, 0)
NOW = datetime(2026, 11, 21, 22, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("case", "outcome", "words"),
    [
        ("done", Class.DONE, ""),
        ("resumed", Class.DONE, ""),
        ("tools", Class.DONE, ""),
        ("limited", Class.QUOTA, "hit your usage limit"),
        ("limited_key", Class.QUOTA, "429 Too Many Requests"),
        ("refused", Class.AUTH, "401 Unauthorized"),
        ("stalled", Class.KILLED, "SIGTERM"),
        ("lost", Class.FAILED, "no rollout found"),
    ],
)
def test_outcomes(case: str, outcome: Class, words: str) -> None:
    _, _, verdict = replayed(CODEX, case)
    assert verdict.outcome is outcome
    assert words in verdict.message
    assert verdict.session_lost is (case == "lost")


def test_what_it_said_of_itself() -> None:
    reader, log, _ = replayed(CODEX, "tools")
    report = reader.report
    assert report.session_id is not None
    assert len(report.session_id) == 36
    assert report.final_text == "It printed one."
    assert report.usage == Usage(input_tokens=140, output_tokens=40, cached_tokens=60)
    assert log[-3:] == ["> /bin/bash -lc 'echo one; pwd; false'", "! one /srv/project", "It printed one."]
    assert report.finished


def test_a_resumed_session_counts_on_so_only_what_came_on_top_is_the_runs() -> None:
    spent = Usage(input_tokens=70, output_tokens=20, cached_tokens=30)
    reader, _, _ = replayed(CODEX, "resumed", structs.replace(ASSIGNMENT, session_id="abc", spent=spent))
    assert reader.report.usage == Usage(input_tokens=70, output_tokens=20, cached_tokens=30)
    assert reader.report.session_id == replayed(CODEX, "done")[0].report.session_id


def test_when_a_limit_ends_by_the_clock_of_the_machine() -> None:
    reader = CodexReader(ASSIGNMENT, lambda: NOW)
    lines, ended = recorded("codex", "limited")
    for stream, text in lines:
        reader.line(text, stream)
    at = reader.verdict(ended).resets_at
    assert at is not None
    assert at.tzinfo is UTC
    assert NOW < at < datetime(2026, 11, 21, 23, 15, tzinfo=UTC)


def test_after_its_last_try_for_a_limited_key_it_is_not_waited_for() -> None:
    reader, _, _ = replayed(CODEX, "limited_key")
    assert reader.report.finished
    reader = CodexReader(ASSIGNMENT)
    first = {"type": "error", "message": "Reconnecting... 1/5 (exceeded retry limit, last status: 429 Too Many Requests)"}
    reader.line(json.dumps(first), LogStream.STDOUT)
    assert not reader.report.finished


def test_a_limit_that_it_got_over_is_forgotten() -> None:
    reader = CodexReader(ASSIGNMENT)
    limited = {"type": "error", "message": "Reconnecting... 1/5 (exceeded retry limit, last status: 429 Too Many Requests)"}
    said = {"type": "item.completed", "item": {"type": "agent_message", "text": "on it"}}
    for event in (limited, said):
        reader.line(json.dumps(event), LogStream.STDOUT)
    assert reader.verdict(KILLED).outcome is Class.KILLED


@pytest.mark.parametrize("case", ["done", "tools", "limited", "refused"])
def test_broken_and_missing_lines_break_nothing(case: str) -> None:
    lines, ended = recorded("codex", case)
    for cut in range(len(lines)):
        reader = CodexReader(ASSIGNMENT)
        for stream, text in [*lines[:cut], (LogStream.STDOUT, lines[cut][1][: len(lines[cut][1]) // 2])]:
            reader.line(text, stream)
        assert reader.verdict(KILLED).outcome is not Class.DONE
        assert reader.verdict(ended).outcome is not Class.DONE


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], {"item": 3}, {"message": []}])
def test_events_of_an_unexpected_shape(value: object) -> None:
    reader = CodexReader(ASSIGNMENT)
    for kind in ("thread.started", "item.started", "item.completed", "turn.completed", "turn.failed", "error"):
        for name in ("thread_id", "item", "usage", "error", "message"):
            assert all(isinstance(line, str) for line in reader.line(json.dumps({"type": kind, name: value}), LogStream.STDOUT))


@pytest.mark.parametrize(
    ("args", "sandbox"),
    [
        ([], ["--sandbox", "workspace-write"]),
        (["-s", "read-only"], ["-s", "read-only"]),
        (["-c", "sandbox_mode=danger-full-access"], ["-c", "sandbox_mode=danger-full-access"]),
        (["--dangerously-bypass-approvals-and-sandbox"], ["--dangerously-bypass-approvals-and-sandbox"]),
    ],
)
@pytest.mark.parametrize("session", [None, "01a2"])
def test_the_sandbox_is_named_before_the_session(args: list[str], sandbox: list[str], session: str | None) -> None:
    launch = CODEX.launch(structs.replace(ASSIGNMENT, session_id=session, model="gpt"), AgentSettings(args=args, program="cx"))
    assert launch.argv[:6] == ["cx", "exec", "--json", "--skip-git-repo-check", "-C", "/srv/project"]
    rest = launch.argv[6:]
    assert [part for part in rest if part in sandbox] == sandbox
    assert rest[-3:] == (["resume", session, "-"] if session else rest[-3:])
    assert rest[-1] == "-"
    assert rest[rest.index("--model") + 1] == "gpt"
    assert launch.stdin == ASSIGNMENT.prompt_file
    assert ASSIGNMENT.prompt not in launch.argv
