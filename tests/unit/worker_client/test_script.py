"""Scripts, from the claim to the report, with real programs."""

import asyncio
import os
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.stage import on_stage, script
from worker_client import locks
from worker_client.locks import Locks
from worker_client.state import state_folder


def test_a_script_from_claim_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_API_KEY", "the worker's own")

    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            command = (
                'pwd; echo "$ORCHESTRATOR_TASK_ID $ORCHESTRATOR_ATTEMPT $GREETING ${ORCHESTRATOR_API_KEY-none}"; echo oops >&2'
            )
            stage.queue.add(7, tmp_path, **script(command, verify="test -d ."), environment={"GREETING": "hello"})
            verb, body = await stage.end_of(7)
            assert verb == "complete"
            assert body["lease"] == "7.1.ab"
            assert body["result"]["exit_code"] == 0
            assert body["result"].keys() == {
                "exit_code",
                "signal",
                "duration_ms",
                "cpu_seconds",
                "peak_memory_bytes",
                "output_tail",
            }
            lines = stage.queue.text(7).splitlines()
            assert sorted(lines[:3]) == sorted([str(tmp_path), "7 1 hello none", "oops"])
            assert lines[3] == "$ test -d ."
            poll = stage.queue.polls[0]
            assert poll["work_path"] == [str(tmp_path)]
            assert poll["kinds"] == ["script"]
            assert poll["poll_id"]
            assert poll["confirm_seconds"] == 15
            assert stage.worker.worker_id.startswith(f"{poll['host']}-{os.getpid()}-")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        ({"command": "echo broken; exit 3"}, "ExitCode", "exit code 3; it last printed: broken"),
        ({"command": ["no-such-program"]}, "ExitCode", "the command was not found"),
        ({"command": "kill -SEGV $$"}, "ExitCode", "SIGSEGV"),
        ({"command": "true", "verify": "exit 1"}, "VerifyFailed", "`verify` ended with exit code 1"),
        ({"command": ""}, "InvalidSpec", "length"),
        (None, "InvalidSpec", "command"),
    ],
)
def test_scripts_that_fail(tmp_path: Path, spec: dict[str, Any] | None, kind: str, words: str) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, spec=spec)
            verb, body = await stage.end_of(7)
            assert verb == "fail"
            assert body["error"]["type"] == kind
            assert words in body["error"]["message"]
            if kind == "ExitCode":
                assert {"exit_code", "signal"} <= body["error"]["details"].keys()

    asyncio.run(scenario())


def test_arguments_are_appended(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path, concurrency=2) as stage:
            stage.queue.add(1, tmp_path, **script("echo", args=["a b", "$c"]))
            stage.queue.add(2, tmp_path, spec={"command": ["echo", "x"], "args": ["y  z"]})
            assert [(await stage.end_of(n))[0] for n in (1, 2)] == ["complete"] * 2
            assert stage.queue.text(1) == "a b $c\n"
            assert stage.queue.text(2) == "x y  z\n"

    asyncio.run(scenario())


def test_what_a_script_uses_is_limited(tmp_path: Path) -> None:
    hungry = "python3 -c 'data = b\"x\" * 200_000_000; import time; time.sleep(100)'"

    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(1, tmp_path, **script(hungry), resource_limits={"memory": "100M"})
            verb, body = await stage.end_of(1)
            assert (verb, body["error"]["type"]) == ("fail", "MemoryLimit")
            assert re.fullmatch(
                r"the command was ended: it had \d+ MiB of memory, more than `resource_limits.memory` allows",
                body["error"]["message"],
            )
            assert body["error"]["details"]["peak_memory_bytes"] > 100_000_000
            stage.queue.add(2, tmp_path, **script("true"), resource_limits={"memory": "much"})
            verb, body = await stage.end_of(2)
            assert verb == "fail"
            assert "`resource_limits` of the task can't be kept: " in body["error"]["message"]

    asyncio.run(scenario())


def test_a_directory_in_use_is_waited_for_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "work").mkdir()

    async def scenario() -> None:
        held = await Locks(state_folder() / "locks").take(str(tmp_path), exclusive=True, waiting=lambda _: None)
        assert held is not None
        async with on_stage(tmp_path / "work", concurrency=3) as stage:
            for number in (1, 2):
                stage.queue.add(number, tmp_path / "work", **script("true"))
                await stage.queue.until(partial(stage.queue.text, number))
                assert stage.queue.text(number).startswith(f"waiting: an earlier run works in {tmp_path} (processes ")
            stage.queue.cancel(1)
            assert (await stage.end_of(1))[1]["reason"] == "cancelled on request"
            monkeypatch.setattr(locks, "PATIENCE", 0.2)
            stage.queue.add(3, tmp_path / "work", **script("true"))
            verb, body = await stage.end_of(3)
            assert (verb, "is still in use on this machine" in body["reason"]) == ("release", True)
            assert 50 < (datetime.fromisoformat(body["not_before"]) - datetime.now(UTC)).total_seconds() < 61
            held.forget()
            held.passed_on()
            assert (await stage.end_of(2))[0] == "complete"

    asyncio.run(scenario())


def test_much_output_arrives_whole_and_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("seq 1 20000"))
            assert (await stage.end_of(7))[0] == "complete"
            assert stage.queue.text(7) == "".join(f"{n}\n" for n in range(1, 20001))

    asyncio.run(scenario())
