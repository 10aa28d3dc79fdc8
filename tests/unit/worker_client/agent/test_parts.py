"""The small parts of running agents."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from tests.unit.worker_client.agent.acting import INIT, result, text, theatre
from worker_client.contract.reports import Usage
from worker_client.output import WholeLines
from worker_client.runners.agent import running
from worker_client.runners.agent.judging import without_secrets
from worker_client.runners.agent.usages import added, since
from worker_client.runners.agent.versions import Versions


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_whole_lines(size: int) -> None:
    long = "é" * 50
    data = f"one\r\n\n{long}\n{'x' * 300}\nnul \0 end\nlast".encode() + b"\xff"
    lines = WholeLines(limit=200)
    found = [line for chunk in chunks(data, size) for line in lines.feed(chunk)]
    found += lines.feed(b"", final=True)
    assert found == ["one", "", long, "[a line of 300 bytes is left out]", "nul \ufffd end", "last\ufffd"]
    assert lines.feed(b"", final=True) == []


def test_what_is_not_shown_of_a_command_line() -> None:
    argv = ["x", "--api-key", "s1", "--token=s2", "-p", "Fix it.", "say: Fix it.", "--model", "m", "--auth-file"]
    assert without_secrets(argv, "Fix it.") == [
        *("x", "--api-key", "***", "--token=***", "-p", "{prompt}", "say: {prompt}", "--model", "m", "--auth-file"),
    ]


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("model_providers.mine.api_key=sk-1", "model_providers.mine.api_key=***"),
        ('{"env": {"ANTHROPIC_API_KEY": "sk-1"}}', '{"env": {"ANTHROPIC_API_KEY":***'),
        ("Authorization: Bearer sk-1", "Authorization:***"),
        ("PASSWORD=sk-1\nand more", "PASSWORD=***"),
        ("/srv/auth-service", "/srv/auth-service"),
        ("keys.md", "keys.md"),
    ],
)
def test_a_value_that_sounds_secret_is_not_shown_wherever_it_stands(argument: str, shown: str) -> None:
    assert without_secrets(["x", "-c", argument], "Fix it.") == ["x", "-c", shown]


def test_usages() -> None:
    one = Usage(input_tokens=10, output_tokens=2, cached_tokens=1, cost_usd=0.5, duration_ms=7, model="a")
    both = added(one, Usage(input_tokens=5, cost_usd=0.25, duration_ms=3))
    assert both == Usage(input_tokens=15, output_tokens=2, cached_tokens=1, cost_usd=0.75, duration_ms=10, model="a")
    assert since(both, one) == Usage(input_tokens=5, cost_usd=0.25, duration_ms=10, model="a")
    assert since(one, both) == Usage(duration_ms=7, model="a")


@pytest.mark.parametrize(
    ("printed", "version"),
    [("echo 'codex-cli 0.169.0'", "0.169.0"), ("echo v1.18.33-beta.2 of 2026", "1.18.33-beta.2"), ("exit 1", None), ("", None)],
)
def test_a_version_is_asked_for_once(tmp_path: Path, printed: str, version: str | None) -> None:
    program = tmp_path / "agent"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{printed}\n')
    program.chmod(0o755)

    async def scenario() -> None:
        versions = Versions()
        environ = {"PATH": os.environ["PATH"]}
        told = await asyncio.gather(*(versions.of(str(program), environ) for _ in range(3)))
        assert told == [version] * 3
        assert await versions.of("/no/such/program", environ) is None

    asyncio.run(scenario())
    assert (tmp_path / "asked").read_text() == "--version\n"


def test_names_that_the_server_would_refuse_do_not_cost_the_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        init = ("say", {"type": "system", "subtype": "init", "session_id": "s" * 300, "model": "m" * 300})
        async with theatre(tmp_path) as stage:
            stage.play([init, ("say", {"type": "assistant", "session_id": "s" * 300, "message": {"id": "m"}})])
            verb, body = await stage.run()
            assert verb == "fail"
            assert body["usage"]["model"] == "m" * 255
            assert not any(beat.get("session_id") for beat in stage.queue.beats[7])

    asyncio.run(scenario())


@pytest.mark.parametrize("offset", [timedelta(hours=-1), timedelta(days=4000)])
def test_a_reset_that_can_not_be(tmp_path: Path, offset: timedelta) -> None:
    async def scenario() -> None:
        at = datetime.now(UTC) + offset
        limit = ("say", {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": at.timestamp()}})
        async with theatre(tmp_path) as stage:
            stage.play([INIT, text("Hm."), limit, result("limit", is_error=True, api_error_status=429)])
            verb, body = await stage.run()
            assert (verb, body["reason"]) == ("park", "quota")
            until = body.get("not_before")
            if offset.days > 0:
                assert until is None
            else:
                assert timedelta() < datetime.fromisoformat(body["not_before"]) - datetime.now(UTC) <= timedelta(minutes=1)

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Back(datetime):
        left = 1

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            cls.left -= 1
            return datetime.now(tz) - timedelta(hours=1 if cls.left < 0 else 0)

    monkeypatch.setattr(running, "datetime", Back)

    async def scenario() -> None:
        async with theatre(tmp_path) as stage:
            stage.play([INIT, text("Hm."), result(duration_ms=0)])
            verb, body = await stage.run()
            assert (verb, body["usage"]["duration_ms"] >= 0) == ("complete", True)

    asyncio.run(scenario())
