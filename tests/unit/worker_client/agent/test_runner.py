"""Agents from the claim to the report, with a stand-in for the command line that speaks as Claude Code does."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.agent.acting import INIT, Theatre, done, result, text, theatre
from tests.unit.worker_client.peer import NOW
from tests.unit.worker_client.test_processes import appears, vanishes
from worker_client.contract.reports import Usage
from worker_client.runners.agent import running
from worker_client.runners.agent.settings import AgentSettings
from worker_client.runners.verify import Checks
from worker_client.sessions import Session, recorded, remember

USED = {"input_tokens": 100, "output_tokens": 20, "cached_tokens": 50, "cost_usd": 0.5, "model": "opus"}


def used(body: dict[str, Any]) -> dict[str, Any]:
    usage = dict(body["usage"])
    assert usage.pop("duration_ms") > 0
    return usage


def test_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        environ = {"HOME": "/home/me", "ANTHROPIC_API_KEY": "its key", "ORCHESTRATOR_API_KEY": "the worker's own", "EXTRA": "1"}
        settings = AgentSettings(inherit=["EXTRA"], environment={"MORE": "2"}, args=["--api-token", "hidden"])
        async with theatre(tmp_path, environ=environ, settings=settings) as stage:
            stage.play(done("I fixed it."))
            sent = {"PATH": "/nowhere", "ANTHROPIC_API_KEY": "another", "ANTHROPIC_BASE_URL": "http://evil", "GREETING": "hello"}
            verb, body = await stage.run(environment=sent)
            assert verb == "complete"
            session = stage.session(0)
            assert body["result"] == {"text": "I fixed it.", "session_id": session, "agent": "claude"}
            assert used(body) == USED
            call = stage.calls[0]
            assert call["stdin"].startswith("Fix the test.\n\n")
            assert call["cwd"] == str(stage.directory)
            seen = call["env"]
            assert {name: seen.get(name) for name in ("ANTHROPIC_API_KEY", "EXTRA", "MORE", "GREETING", "HOME")} == {
                "ANTHROPIC_API_KEY": "its key",
                "EXTRA": "1",
                "MORE": "2",
                "GREETING": "hello",
                "HOME": "/home/me",
            }
            assert seen["PATH"] != "/nowhere"
            assert not {"ANTHROPIC_BASE_URL", "ORCHESTRATOR_API_KEY"} & seen.keys()
            evidence = body["evidence"]
            assert evidence["argv"][-2:] == ["--api-token", "***"]
            told = {"agent": "claude", "version": "2.1.0", "session_id": session, "cwd": str(stage.directory), "outcome": "done"}
            assert evidence.items() >= {**told, "exit_code": 0}.items()
            assert {"pid", "started_at"} <= evidence.keys()
            assert not {"signal", "denials", "not_before", "verify"} & evidence.keys()
            assert stage.queue.text(7) == "I fixed it.\n"
            beats = stage.queue.beats[7]
            first = next(beat for beat in beats if beat.get("session_id"))
            assert (first["session_id"], first["agent"]) == (session, "claude")
            written = recorded(tmp_path / "state", "claude", session)
            assert written is not None
            assert (written.directory, written.task_id) == (str(stage.directory), 7)
            assert written.used.input_tokens == 100

    asyncio.run(scenario())


def test_the_session_and_what_it_does_are_told_while_it_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            go = tmp_path / "go"
            stage.play([INIT, text("I look around."), ("wait", str(go)), result()])
            stage.queue.add(7, stage.directory, kind="agent", prompt="Fix it.")

            def told() -> bool:
                said: dict[str, Any] = {}
                for beat in stage.queue.beats.get(7, []):
                    said |= beat
                return bool(said.get("session_id")) and said.get("progress") == {"message": "I look around."} and "usage" in said

            await stage.queue.until(told)
            go.touch()
            assert (await stage.stage.end_of(7))[0] == "complete"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"prompt": None}, "needs a prompt"),
        ({"prompt": " \n"}, "needs a prompt"),
        ({"spec": {"model": "--dangerously-skip-permissions"}}, "model is '--dangerously"),
        ({"spec": {"session_id": "-x"}}, "session_id is '-x'"),
        ({"spec": {"modle": "x"}}, "modle"),
        ({"spec": {"budget": {"cost_usd": -1}}}, "budget.cost_usd"),
    ],
)
def test_specs_that_no_attempt_can_work_with(tmp_path: Path, facts: dict[str, Any], words: str) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            verb, body = await stage.run(**facts)
            assert verb == "fail"
            assert (body["error"]["type"], body["retryable"]) == ("InvalidSpec", False)
            assert words in body["error"]["message"]
            assert stage.calls == []

    asyncio.run(scenario())


def test_a_quota_parks_the_account_until_its_reset(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path, account="team") as stage:
            at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
            limit = ("say", {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": at.timestamp()}})
            refused = result("You've hit your limit", is_error=True, api_error_status=429, total_cost_usd=0)
            stage.play([INIT, limit, refused, ("exit", 1)])
            verb, body = await stage.run()
            assert verb == "park"
            assert (body["reason"], body["account"], body["agent"]) == ("quota", "team", "claude")
            assert datetime.fromisoformat(body["not_before"]) == at
            assert body["session_id"] == stage.session(0)
            assert body["message"] == "You've hit your limit"
            assert (body["evidence"]["outcome"], body["evidence"]["exit_code"]) == ("quota", 1)

    asyncio.run(scenario())


def test_who_may_not_work_stops_asking(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play([INIT, result("Invalid API key", is_error=True, api_error_status=401), ("exit", 1)])
            verb, body = await stage.run()
            assert verb == "release"
            assert "claude isn't allowed to work: Invalid API key" in body["reason"]
            assert body["evidence"]["outcome"] == "auth"
            await asyncio.wait_for(stage.stage.serving, 10)

    asyncio.run(scenario())


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        from worker_client.runners.agent.claude import Claude  # noqa: PLC0415  only here it isn't the stand-in

        async with theatre(tmp_path, Claude(), settings=AgentSettings(program="/no/such/claude")) as stage:
            verb, body = await stage.run()
            assert verb == "release"
            assert "/no/such/claude is no program that can be run here" in body["reason"]
            await asyncio.wait_for(stage.stage.serving, 10)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("steps", "kind", "outcome"),
    [
        ([INIT, text("I begin."), ("kill", signal.SIGKILL)], "Killed", "killed"),
        ([INIT, text("I begin."), ("exit", 143)], "Killed", "killed"),
        ([INIT, text("All done, I say.")], "NoEvidence", "no_evidence"),
        ([], "NoEvidence", "no_evidence"),
        ([("complain", "Segmentation fault"), ("exit", 139)], "NoEvidence", "no_evidence"),
        ([INIT, result("API Error: 529 Overloaded", is_error=True)], "AgentFailed", "failed"),
        ([INIT, ("say", '{"type":"result","subtype":"success","is_error":fal')], "NoEvidence", "no_evidence"),
    ],
)
def test_what_is_no_success(tmp_path: Path, steps: list[Any], kind: str, outcome: str) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play(steps)
            verb, body = await stage.run()
            assert verb == "fail"
            assert (body["error"]["type"], body.get("retryable", True)) == (kind, True)
            assert body["error"]["message"]
            assert body["evidence"]["outcome"] == outcome

    asyncio.run(scenario())


def test_broken_lines_and_other_noise(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            noise: list[Any] = [("say", "Warning: a notice"), ("say", "{broken"), ("say", ""), ("complain", "and on stderr")]
            stage.play([*noise, INIT, *noise, text("x" * 200_000), result("y" * 200_000)])
            verb, body = await stage.run()
            assert verb == "complete"
            assert body["result"]["text"] == "y" * 100_000
            lines = stage.queue.text(7).splitlines()
            assert lines.count("Warning: a notice") == 2
            assert lines.count("and on stderr") == 2
            assert sum(line.count("x") for line in lines if set(line) == {"x"}) == 200_000
            assert not any("subtype" in line for line in lines)

    asyncio.run(scenario())


def test_a_long_prompt(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play(done())
            prompt = "".join(f"{number} · line\n" for number in range(40_000))
            assert len(prompt) > 500_000
            assert (await stage.run(prompt=prompt))[0] == "complete"
            assert stage.calls[0]["stdin"].startswith(prompt.strip())
            assert max(map(len, stage.calls[0]["argv"])) < 200

    asyncio.run(scenario())


def test_a_silent_agent_is_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path, settings=AgentSettings(stall_seconds=3)) as stage:
            pid = tmp_path / "pid"
            stage.play([INIT, text("I think about it."), ("spawn", f"echo $$ > {pid}; exec sleep 987"), ("sleep", 987)])
            verb, body = await stage.run()
            assert verb == "fail"
            assert (body["error"]["type"], body.get("retryable", True)) == ("Stalled", True)
            assert "silent for 3 s" in body["error"]["message"]
            assert body["evidence"]["outcome"] == "stalled"
            assert body["evidence"]["session_id"] == stage.session(0)
            await vanishes(await appears(pid))

    asyncio.run(scenario())


def test_one_that_talks_is_not_silent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path, settings=AgentSettings(stall_seconds=2)) as stage:
            talk: list[Any] = [step for n in range(6) for step in (text(f"{n}", f"m{n}"), ("sleep", 0.5))]
            stage.play([INIT, *talk, result()])
            assert (await stage.run())[0] == "complete"

    asyncio.run(scenario())


def test_one_that_has_said_all_and_does_not_end_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FINISH_SECONDS", 0.2)

    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play([*done(), ("sleep", 987)])
            verb, body = await stage.run()
            assert verb == "complete"
            assert body["evidence"]["signal"] == "SIGTERM"
            assert "after its last word: it is ended" in stage.queue.text(7)

    asyncio.run(scenario())


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
            assert used(body) == USED
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
            verb, body = await stage.run(8, spec={"budget": {"cost_usd": 2}}, usage={"cost_usd": 2.25})
            assert (verb, body["reason"]) == ("park", "budget")
            assert len(stage.calls) == 1

    asyncio.run(scenario())


async def _begun(stage: Theatre, pid: Path, *after: Any) -> str:
    stage.play([INIT, text("I begin."), ("spawn", f"echo $$ > {pid}; exec sleep 987"), *after, ("sleep", 987)])
    stage.queue.add(7, stage.directory, kind="agent", prompt="Fix it.", started_at=NOW)
    return await appears(pid)


def test_stopped_for_money_it_keeps_its_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            shell = await _begun(stage, tmp_path / "pid")
            await stage.queue.until(lambda: any(beat.get("session_id") for beat in stage.queue.beats.get(7, [])))
            stage.queue.directives[7] = {"directive": "park", "reason": "the directory's budget of today is used up"}
            verb, body = await stage.stage.end_of(7)
            assert (verb, body["reason"]) == ("park", "budget")
            assert (body["session_id"], body["agent"]) == (stage.session(0), "claude")
            assert body["message"] == "the directory's budget of today is used up"
            assert body["usage"]["input_tokens"] == 100
            assert body["evidence"]["outcome"] == "budget"
            await vanishes(shell)

    asyncio.run(scenario())


def test_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            shell = await _begun(stage, tmp_path / "pid")
            stage.queue.cancel(7)
            verb, body = await stage.stage.end_of(7)
            assert verb == "release"
            assert body["evidence"]["outcome"] == "killed"
            await vanishes(shell)

    asyncio.run(scenario())


def test_one_that_has_ended_when_it_is_stopped_is_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            shell = await _begun(stage, tmp_path / "pid", result("I was quick."))
            await stage.queue.until(lambda: any(beat.get("usage", {}).get("cost_usd") for beat in stage.queue.beats.get(7, [])))
            stage.queue.cancel(7)
            verb, body = await stage.stage.end_of(7)
            assert (verb, body["result"]["text"]) == ("complete", "I was quick.")
            await vanishes(shell)

    asyncio.run(scenario())


def test_what_it_was_not_allowed_to_do_is_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            denials = [{"tool_name": "Bash", "tool_input": {"command": "rm -r /"}}]
            stage.play([INIT, result(permission_denials=denials)])
            verb, body = await stage.run()
            assert (verb, body["evidence"]["denials"]) == ("complete", ["Bash: rm -r /"])

    asyncio.run(scenario())


def test_for_another_agent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            verb, body = await stage.run(spec={"agent": "codex"})
            assert (verb, stage.calls) == ("release", [])
            assert "for the agent codex" in body["reason"]

    asyncio.run(scenario())


def test_the_prompt_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play(done())
            assert (await stage.run())[0] == "complete"
            assert json.dumps(stage.calls[0]["argv"]).find("Fix the test.") == -1

    asyncio.run(scenario())
    assert not list(tmp_path.glob("orchestrator-agent-*"))
