"""Scripts, from the claim to the report, with real programs."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.stage import on_stage, script


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


def test_much_output_arrives_whole_and_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("seq 1 20000"))
            assert (await stage.end_of(7))[0] == "complete"
            assert stage.queue.text(7) == "".join(f"{n}\n" for n in range(1, 20001))

    asyncio.run(scenario())
