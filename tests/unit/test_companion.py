"""The worker beside a server: when it is started again, and how it is ended."""

import asyncio
import contextlib
import os
import shlex
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orchestrator import companion
from orchestrator.companion import Companion, Manned, reachable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shells and signals")


class Shell(Manned, frozen=True):
    """Runs a line of shell in place of a worker, and counts its lives in the file `lives`."""

    line: str = ""

    def command(self, address: str, *, pretty: bool) -> list[str]:  # noqa: ARG002 - a shell needs neither
        lives = shlex.quote(str(self.directories[0] / "lives"))
        return ["/bin/sh", "-c", f"echo x >> {lives}; {self.line}"]


def lives(folder: Path) -> int:
    file = folder / "lives"
    return len(file.read_text().split()) if file.exists() else 0


async def lived(folder: Path, count: int) -> None:
    async with asyncio.timeout(20):
        while lives(folder) < count:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def made(folder: Path, line: str) -> Companion:
    return Companion(Shell(directories=(folder,), line=line), "key", pretty=True, environ={"ORCHESTRATOR_DRAIN_SECONDS": "0.1"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion, "_FIRST_PAUSE", 0.001)


@pytest.mark.parametrize(
    ("code", "count", "reason"), [(0, 1, "drained"), (2, 1, "options"), (3, 1, "no agent"), (1, 5, "as it was set up")]
)
def test_what_would_be_in_vain_is_not_tried_for_ever(tmp_path: Path, code: int, count: int, reason: str) -> None:
    async def scenario() -> None:
        one = made(tmp_path, f"exit {code}")
        one.begin("http://127.0.0.1:1")
        assert one._supervising is not None
        await asyncio.wait_for(one._supervising, 20)
        await one.end()

    with capture_logs() as logged:
        asyncio.run(scenario())
    assert lives(tmp_path) == count
    last = logged[-1]
    assert (last["log_level"], reason in last["reason"]) == ("error", True)


def test_what_is_killed_is_started_again_and_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        one = made(tmp_path, "echo said >&2; kill -KILL $$")
        one.begin("http://127.0.0.1:1")
        await lived(tmp_path, 7)
        ended = asyncio.Event()
        one.leave(ended.set)
        await asyncio.wait_for(ended.wait(), 20)
        await one.end()

    asyncio.run(scenario())
    assert "worker | said" in capfd.readouterr().err


def test_one_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion, "_REPORT_SECONDS", 0.2)

    async def scenario() -> None:
        one = made(tmp_path, "trap '' TERM; while :; do sleep 0.1; done")
        one.begin("http://127.0.0.1:1")
        await lived(tmp_path, 1)
        ended = asyncio.Event()
        one.leave(ended.set)
        one.leave(ended.set)
        await asyncio.wait_for(ended.wait(), 20)
        await asyncio.wait_for(one.end(), 20)
        assert one._process is not None
        assert one._process.returncode == -9

    asyncio.run(scenario())


def test_one_that_can_not_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shell, "command", lambda *_, **__: [str(tmp_path / "missing")])

    async def scenario() -> None:
        one = made(tmp_path, "")
        one.begin("http://127.0.0.1:1")
        with contextlib.suppress(asyncio.CancelledError):
            assert one._supervising is not None
            await asyncio.wait_for(one._supervising, 20)
        await one.end()

    with capture_logs() as logged:
        asyncio.run(scenario())
    assert sum(line["event"] == "the worker can't be started" for line in logged) == 5


def test_its_command_line(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    manned = Manned(directories=(tmp_path / "link",), agents=("claude", "codex"))
    line = manned.command("http://127.0.0.1:8080", pretty=False)
    assert line[0] == sys.executable
    assert shlex.join(line[5:]) == (
        f"--leash --url http://127.0.0.1:8080 --log-format json --dir {tmp_path / 'real'} --agent claude --agent codex"
    )
    assert manned.patterns == [f"{tmp_path / 'real'}/**"]


def test_where_it_asks() -> None:
    assert reachable("http://0.0.0.0:8080") == "http://127.0.0.1:8080"
    assert reachable("http://[::]:8080") == "http://[::1]:8080"
    assert reachable("http://10.0.0.1:8080") == "http://10.0.0.1:8080"
