"""Agents that are silent, that don't end, and that are ended."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.agent.acting import INIT, Theatre, done, result, text, theatre
from tests.unit.worker_client.peer import NOW
from tests.unit.worker_client.test_processes import appears, vanishes
from worker_client.runners.agent import running
from worker_client.runners.agent.settings import AgentSettings


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


def test_one_that_is_silent_at_its_limit_waits_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path, settings=AgentSettings(stall_seconds=2)) as stage:
            retry = {"type": "system", "subtype": "api_retry", "error_status": 429, "attempt": 1, "error": "rate_limit"}
            stage.play([INIT, ("say", retry), ("sleep", 987)])
            verb, body = await stage.run()
            assert (verb, body["reason"], body["evidence"]["outcome"]) == ("park", "quota", "quota")

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


def test_interrupted_it_says_what_it_has_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            pid = tmp_path / "pid"
            said = result("", subtype="error_during_execution", is_error=True)
            stage.play([INIT, text("I begin."), ("write", str(pid)), ("sleep", 987), said, ("exit", 1)])
            stage.queue.add(7, stage.directory, kind="agent", prompt="Fix it.")
            await appears(pid)
            stage.queue.directives[7] = {"directive": "park", "reason": "it costs too much"}
            verb, body = await stage.stage.end_of(7)
            assert (verb, body["reason"]) == ("park", "budget")
            assert (body["usage"]["cost_usd"], body["evidence"]["exit_code"], body["evidence"]["outcome"]) == (0.5, 1, "budget")

    asyncio.run(scenario())


def test_one_that_heeds_no_interrupt_is_terminated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "INTERRUPT_SECONDS", 0.1)

    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            pid = tmp_path / "pid"
            stage.play([INIT, ("deafen", signal.SIGINT), ("write", str(pid)), ("sleep", 987)])
            stage.queue.add(7, stage.directory, kind="agent", prompt="Fix it.")
            await appears(pid)
            stage.queue.cancel(7)
            verb, body = await stage.stage.end_of(7)
            assert (verb, body["evidence"]["signal"]) == ("release", "SIGTERM")

    asyncio.run(scenario())


def test_what_goes_on_after_all_is_not_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was refused again and again, and then accepted."""
    monkeypatch.setattr(running, "FINISH_SECONDS", 0.3)

    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            retry = ("say", {"type": "system", "subtype": "api_retry", "attempt": 4, "error_status": 401})
            stage.play([INIT, retry, text("I go on."), ("sleep", 1), result("Done.")])
            assert (await stage.run())[0] == "complete"

    asyncio.run(scenario())
