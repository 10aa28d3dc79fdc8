"""Agents from the claim to the report, with a stand-in for the command line that speaks as Claude Code does."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.agent.acting import INIT, done, result, text, theatre
from worker_client.runners.agent.settings import AgentSettings
from worker_client.sessions import recorded

USED = {"input_tokens": 100, "output_tokens": 20, "cached_tokens": 50, "cost_usd": 0.5, "model": "opus"}


def used(body: dict[str, Any]) -> dict[str, Any]:
    usage = dict(body["usage"])
    assert usage.pop("duration_ms") > 0
    return usage


def test_what_a_task_can_not_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path, environ={"https_proxy": "http://ours:1", "NODE_OPTIONS": "--no-warnings"}) as stage:
            stage.play(done())
            evil = [
                "https_proxy",
                "HTTPS_PROXY",
                "NODE_OPTIONS",
                "LD_PRELOAD",
                "ANTHROPIC_CUSTOM_HEADERS",
                "CLAUDE_CODE_USE_FOUNDRY",
            ]
            await stage.run(environment={**dict.fromkeys(evil, "evil"), "OPENAI_API_KEY": "of the tests", "NODE_ENV": "test"})
            seen = stage.calls[0]["env"]
            assert "evil" not in seen.values()
            ours = {"https_proxy": "http://ours:1", "NODE_OPTIONS": "--no-warnings"}
            assert seen.items() >= {**ours, "OPENAI_API_KEY": "of the tests", "NODE_ENV": "test"}.items()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('{"modules": ["cart"]}', {"modules": ["cart"]}),
        ("```json\n[1, 2]\n```\n", [1, 2]),
        ('"only a text"', None),
        ("Done: {}", None),
        (r'["no \u0000 is stored"]', None),
        ("[" * 60 + "]" * 60, None),
        ("[" * 5000 + "]" * 5000, None),
    ],
)
def test_last_words_that_are_json_are_kept_as_such(tmp_path: Path, words: str, said: object) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play(done(words))
            verb, body = await stage.run()
            assert (verb, body["result"].get("json")) == ("complete", said)
            assert body["result"]["text"] == words

    asyncio.run(scenario())


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


@pytest.mark.parametrize(
    "environment", [{"X": "x" * 200_000}, {"X": "a\0b"}, {f"X{number}": "x" * 100_000 for number in range(6)}]
)
def test_a_task_whose_environment_no_program_can_be_given_stops_no_worker(tmp_path: Path, environment: dict[str, str]) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play(done())
            verb, body = await stage.run(environment=environment)
            assert verb == "fail"
            assert "`environment` of the task can't be passed on: " in body["error"]["message"]
            assert (await stage.run(8))[0] == "complete"

    asyncio.run(scenario())


def test_a_full_disk_costs_no_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))

    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            verb, body = await stage.run()
            assert verb == "release"
            assert "the prompt can't be written to a temporary file" in body["reason"]
            assert datetime.fromisoformat(body["not_before"]) > datetime.now(UTC)

    asyncio.run(scenario())
