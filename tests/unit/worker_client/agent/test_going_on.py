"""What a task's next run begins with: an answer, a failed check, a session that is there or lost, a budget that is left."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.agent.acting import INIT, done, result, text, theatre
from worker_client.contract.reports import Usage
from worker_client.runners.verify import Checks
from worker_client.sessions import Session, recorded, remember


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_question_and_its_answer_in_the_same_session(tmp_path: Path, attempt: int) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            asked = 'I have to know.\n\n```ask\n{"question": "Which colour?", "options": ["red", "blue"]}\n```'
            stage.play([INIT, text(asked), result(asked)], done("It is red."))
            verb, body = await stage.run(attempt=attempt, spec={"verify": "touch verified"})
            session = stage.session(0)
            assert verb == "park"
            assert (body.get("reason", "question"), body["question"], body["options"]) == (
                "question",
                "Which colour?",
                ["red", "blue"],
            )
            assert (body["session_id"], body["agent"]) == (session, "claude")
            assert body["evidence"]["outcome"] == "question"
            assert not (stage.directory / "verified").exists()
            checkpoint = next(beat["checkpoint"] for beat in stage.queue.beats[7] if "checkpoint" in beat)
            claimed = {"session_id": session, "agent": "claude", "answer": "Red.", "checkpoint": checkpoint, "attempt": attempt}
            verb, body = await stage.run(8, **claimed)
            assert verb == "complete"
            assert stage.calls[1]["argv"][4:6] == ["--resume", session]
            assert stage.calls[1]["stdin"] == "You asked: Which colour?\n\nThe answer: Red."

    asyncio.run(scenario())


def test_what_the_check_said_goes_into_the_next_attempt(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play(done())
            check = "echo 3 tests failed >&2; test -e fixed"
            verb, body = await stage.run(spec={"verify": check})
            assert verb == "fail"
            error = body["error"]
            assert error["type"] == "VerifyFailed"
            assert error["details"]["output_tail"] == "3 tests failed"
            assert body["evidence"]["outcome"] == "failed"
            assert body["evidence"]["verify"].items() >= {"command": check, "exit_code": 1}.items()
            assert body["usage"]["cost_usd"] == 0.5
            stage.play([*done(), ("write", str(stage.directory / "fixed"))])
            facts = {"session_id": stage.session(0), "agent": "claude", "attempt": 2, "error": error}
            verb, body = await stage.run(8, spec={"verify": check}, **facts)
            assert verb == "complete"
            assert body["evidence"]["verify"]["exit_code"] == 0
            assert stage.session(1) == stage.session(0)
            assert "3 tests failed" in stage.calls[1]["stdin"]
            assert "Fix the test." not in stage.calls[1]["stdin"]

    asyncio.run(scenario())


def test_the_check_of_a_directory(tmp_path: Path) -> None:
    async def scenario() -> None:
        checks = Checks({str(tmp_path): "echo outer; false", str(tmp_path / "work"): "echo inner; test -z $ANTHROPIC_API_KEY"})
        async with theatre(tmp_path, checks=checks, environ={"ANTHROPIC_API_KEY": "its key"}) as stage:
            stage.play(done())
            assert (await stage.run())[0] == "complete"
            assert "inner" in stage.queue.text(7)
            assert (await stage.run(8, spec={"verify": "echo own; false"}))[0] == "fail"
            assert "own" in stage.queue.text(8)

    asyncio.run(scenario())


def test_a_session_that_is_lost_begins_anew_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            lost = result(
                "", subtype="error_during_execution", is_error=True, errors=["No conversation found with session ID: s"]
            )
            stage.play([lost, ("exit", 1)], done())
            verb, body = await stage.run(session_id="s-1", agent="claude", attempt=2)
            assert verb == "complete"
            first, second = stage.calls
            assert first["argv"][4:6] == ["--resume", "s-1"]
            assert second["argv"][4] == "--session-id"
            assert "in a session that no longer exists" in second["stdin"]
            assert second["stdin"].startswith("Fix the test.")
            assert body["result"]["session_id"] == stage.session(1) != "s-1"
            assert recorded(tmp_path / "state", "claude", "s-1") is None
            assert "can't be resumed: a new one begins" in stage.queue.text(7)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("facts", "resumed", "words"),
    [
        ({"session_id": "s-1", "agent": "claude"}, True, "You were interrupted."),
        ({"session_id": "s-1"}, True, "You were interrupted."),
        ({"session_id": "s-1", "agent": "codex"}, False, "in a session that no longer exists"),
        ({"session_id": "elsewhere", "agent": "claude"}, False, "in a session that no longer exists"),
        ({"spec": {"session_id": "s-1"}}, True, "Fix the test.\n\nNobody reads along"),
        ({"spec": {"session_id": "elsewhere"}}, False, "follows up on work in a session that no longer exists"),
        ({"session_id": "-rf", "agent": "claude"}, False, "in a session that no longer exists"),
        ({"spec": {"session_id": "s-2"}, "session_id": "s-1"}, True, "You were interrupted."),
    ],
)
def test_which_session(tmp_path: Path, facts: dict[str, Any], resumed: bool, words: str) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            for name, directory in (("s-1", str(stage.directory)), ("elsewhere", "/srv/other")):
                at = datetime.now(UTC)
                session = Session(
                    agent="claude", session_id=name, directory=directory, task_id=1, at=at, used=Usage(input_tokens=7)
                )
                remember(tmp_path / "state", session)
            stage.play(done())
            assert (await stage.run(**facts))[0] == "complete"
            assert stage.calls[0]["argv"][4] == ("--resume" if resumed else "--session-id")
            assert words in stage.calls[0]["stdin"]
            if resumed:
                written = recorded(tmp_path / "state", "claude", "s-1")
                assert written is not None
                assert written.used.input_tokens == 107

    asyncio.run(scenario())


def test_a_budget(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play(
                [
                    INIT,
                    result("", subtype="error_max_budget_usd", is_error=True, errors=["Reached maximum budget"]),
                    ("exit", 1),
                ]
            )
            verb, body = await stage.run(spec={"budget": {"cost_usd": 2}}, usage={"cost_usd": 0.5})
            assert stage.calls[0]["argv"][-2:] == ["--max-budget-usd", "1.5000"]
            assert (verb, body["reason"], body["message"]) == ("park", "budget", "Reached maximum budget")
            assert body["session_id"] == stage.session(0)
            assert "account" not in body or body["account"] is None
            for number, used in enumerate((2.25, 1.99999), 8):
                verb, body = await stage.run(number, spec={"budget": {"cost_usd": 2}}, usage={"cost_usd": used})
                assert (verb, body["reason"]) == ("park", "budget")
            assert len(stage.calls) == 1

    asyncio.run(scenario())
