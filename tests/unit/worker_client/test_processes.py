"""Real programs, their descendants, and that none of them outlives what was promised."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from worker_client import processes
from worker_client.processes import Ended, ProcessTree
from worker_client.remains import MARK

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shell scripts")
STUBBORN = "trap '' TERM; while :; do sleep 100; done"


async def spawn(
    command: str | list[str], act: Callable[[ProcessTree], Awaitable[object]] | None = None, **options: Any
) -> tuple[Ended, str]:
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    options = {"directory": "/", "environment": dict(os.environ), **options}
    async with await ProcessTree.start(argv, **options) as tree:
        if act is not None:
            await act(tree)
        printed = asyncio.gather(tree.stdout.read(), tree.stderr.read())
        ended = await tree.wait()
        out, err = await printed
        return ended, (out + err).decode()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what happens in other processes sets no event here
            await asyncio.sleep(0.01)


async def appears(path: Path) -> str:
    """Wait for a program to write a whole line to a file."""
    await until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text().strip()  # noqa: ASYNC240  a few bytes


def alive(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def vanishes(pid: str) -> None:
    await until(lambda: not alive(pid))


def test_how_programs_end() -> None:
    async def scenario() -> None:
        ended, printed = await spawn("echo out; echo err >&2; exit 3")
        assert (ended.exit_code, ended.signal, printed) == (3, None, "out\nerr\n")
        ended, _ = await spawn("kill -9 $$")
        assert (ended.exit_code, ended.signal) == (None, "SIGKILL")
        ended, printed = await spawn(["/no/such/program"])
        assert (ended.exit_code, printed) == (127, "/no/such/program: not found\n")
        ended, printed = await spawn(["/etc/passwd"])
        assert (ended.exit_code, printed) == (126, "/etc/passwd: Permission denied\n")

    asyncio.run(scenario())


def test_what_a_program_reads(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_bytes(b"x" * 500_000)

    async def read(stdin: Path | None) -> str:
        argv = ["/bin/sh", "-c", "wc -c; set -- /proc/$$/fd/*; echo $#"]
        async with await ProcessTree.start(argv, directory="/", environment=dict(os.environ), stdin=stdin) as tree:
            printed = await tree.stdout.read()
            await tree.wait()
            return printed.decode()

    async def scenario() -> None:
        nothing, something = (await read(None)).split(), (await read(source)).split()
        assert (nothing[0], something[0]) == ("0", "500000")
        assert nothing[1] == something[1]
        with pytest.raises(FileNotFoundError):
            await read(tmp_path / "missing")

    asyncio.run(scenario())


def test_what_a_program_uses() -> None:
    program = "import time\ndata = b'x' * 60_000_000\nwhile time.process_time() < 0.2: pass"
    ended, _ = asyncio.run(spawn([sys.executable, "-c", program]))
    assert 0.2 <= ended.cpu_seconds < 2
    assert ended.peak_memory_bytes > 60_000_000


def test_memory_is_that_of_the_whole_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_SAMPLES", (0.05, 0.05))
    child = f"{sys.executable} -c \"data = b'x' * 40_000_000; import time; time.sleep(0.6)\""
    ended, _ = asyncio.run(spawn(f"{child} & {child} & wait"))
    assert ended.peak_memory_bytes > 80_000_000


def test_stopping_asks_first() -> None:
    async def stop(tree: ProcessTree) -> None:
        assert await tree.stdout.readline() == b"ready\n"
        await tree.stop(10)

    ended, printed = asyncio.run(spawn("trap 'echo bye; exit 5' TERM; echo ready; sleep 100 & wait", stop))
    assert (ended.exit_code, printed) == (5, "bye\n")


def test_what_moved_to_other_sessions_and_ignores_sigterm_is_stopped_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    async def scenario() -> None:
        async def stop(tree: ProcessTree) -> None:
            pid = await appears(pid_file)
            await tree.stop(0.1)
            assert not alive(pid)

        ended, _ = await spawn(f"(setsid sh -c 'echo $$ > {pid_file}; {STUBBORN.replace(chr(39), chr(34))}' &) ; sleep 100", stop)
        assert ended.signal == "SIGTERM"

    asyncio.run(scenario())


def test_what_is_left_behind_is_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        ended, _ = await spawn(
            f"(setsid sh -c 'echo $$ > {tmp_path}/pid; sleep 100' &) ; while [ ! -s {tmp_path}/pid ]; do :; done"
        )
        assert ended.exit_code == 0
        assert not alive((tmp_path / "pid").read_text())

    asyncio.run(scenario())


def test_a_stopped_process_is_stopped_as_well(tmp_path: Path) -> None:
    async def stop(tree: ProcessTree) -> None:
        pid = int(await tree.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        await tree.stop(10)

    ended, _ = asyncio.run(spawn("echo $$; while :; do :; done", stop))
    assert ended.signal == "SIGTERM"


def test_the_time_that_was_granted() -> None:
    async def grant(tree: ProcessTree) -> None:
        tree.live(60)
        tree.live(0.1)

    ended, _ = asyncio.run(spawn(STUBBORN, grant))
    assert ended.signal == "SIGKILL"


def test_leaving_the_context_or_a_cancellation_ends_all_at_once(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    async def scenario() -> None:
        async def leave(tree: ProcessTree) -> None:
            raise KeyError(await appears(pid_file))

        with pytest.raises(KeyError) as caught:
            await spawn(f"echo $$ > {pid_file}; {STUBBORN}", leave)
        assert not alive(caught.value.args[0])
        pid_file.unlink()
        stopping = asyncio.Event()

        async def stop(tree: ProcessTree) -> None:
            await appears(pid_file)
            stopping.set()
            await tree.stop(100)

        started = asyncio.create_task(spawn(f"{STUBBORN.partition(';')[0]}; echo $$ > {pid_file}; sleep 100", stop))
        await stopping.wait()
        pid = await appears(pid_file)
        started.cancel()
        with pytest.raises(asyncio.CancelledError):
            await started
        assert not alive(pid)

    asyncio.run(scenario())


WORKER = f"""
import asyncio, os
from worker_client.processes import ProcessTree
async def main():
    command = "echo $$ > $FILE.1; (setsid sh -c 'echo $$ > $FILE.2; sleep 100' &) ; {STUBBORN.replace("'", "''")}"
    async with await ProcessTree.start(["/bin/sh", "-c", command], directory="/", environment=dict(os.environ)) as tree:
        await tree.wait()
asyncio.run(main())
"""


def test_nothing_outlives_a_worker_that_was_killed(tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "FILE": str(tmp_path / "pid"), "PYTHONPATH": str(Path(processes.__file__).parents[1])},
    )

    async def scenario() -> None:
        pids = [await appears(tmp_path / f"pid.{number}") for number in (1, 2)]
        worker.kill()
        worker.wait()
        for pid in pids:
            await vanishes(pid)

    asyncio.run(scenario())


def test_somebody_kills_the_guardian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_SAMPLES", (0.05, 0.05))
    pid_file = tmp_path / "pid"

    async def scenario() -> None:
        async def kill(tree: ProcessTree) -> None:
            pid = await appears(pid_file)
            psutil.Process(int(pid)).parent().kill()  # type: ignore[union-attr]
            await vanishes(pid)

        ended, _ = await spawn(f"echo $$ > {pid_file}; {STUBBORN}", kill)
        assert ended.signal == "SIGKILL"

    asyncio.run(scenario())


def test_without_a_guardian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What systems without fork get."""
    pid_file = tmp_path / "pid"

    async def start(command: str) -> ProcessTree:
        environment = {**os.environ, MARK: "it"}
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", command, stdin=-1, stdout=-1, stderr=-1, env=environment)
        return ProcessTree(process, None, "it")

    async def scenario() -> None:
        async with await start("exit 4") as tree:
            assert (await tree.wait()).exit_code == 4
        async with await start(f"sh -c 'echo $$ > {pid_file}; {STUBBORN.replace(chr(39), chr(34))}'; true") as tree:
            pid = await appears(pid_file)
            assert (await tree.stop(0.2)).signal is not None
            await vanishes(pid)

    asyncio.run(scenario())
