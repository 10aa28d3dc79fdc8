"""One run in a directory at a time, whoever was killed, with real workers, guardians and programs."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.unit.worker_client.test_processes import alive, appears, vanishes
from worker_client import locks
from worker_client.errors import CannotBegin
from worker_client.locks import Held, Locks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is best effort")
WORKER = """
import asyncio, os, sys
from pathlib import Path
from worker_client.locks import Locks
from worker_client.processes import ProcessTree
async def main():
    lock = await Locks(Path(sys.argv[1])).take(sys.argv[2], exclusive=True, waiting=print)
    argv = ["/bin/sh", "-c", sys.argv[3]]
    async with await ProcessTree.start(argv, directory=sys.argv[2], environment=dict(os.environ), lock=lock) as tree:
        print("begun", flush=True)
        await tree.wait()
asyncio.run(main())
"""


@contextlib.contextmanager
def working(folder: Path, directory: Path, command: str) -> Iterator["subprocess.Popen[str]"]:
    """A worker in a process of its own, that runs a command in a directory."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(directory), command],
        env={**os.environ, "PYTHONPATH": str(Path(locks.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "begun\n"
        try:
            yield worker
        finally:
            worker.kill()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "work/below").mkdir(parents=True)
    return tmp_path / "work"


def take(folder: Path, directory: Path | str, *, exclusive: bool = True, patience: float = 0.0) -> Held:
    """Hold a directory as a run does that begins."""
    held = asyncio.run(Locks(folder, patience=patience).take(str(directory), exclusive=exclusive, waiting=lambda _: None))
    assert held is not None
    return held


def let_go(held: Held) -> None:
    held.forget()
    held.passed_on()


def guardian_of(pid: str) -> psutil.Process:
    parent = psutil.Process(int(pid)).parent()
    assert parent is not None
    return parent


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (("work", True), ("work", True), False),
        (("work", True), ("work", False), False),
        (("work", False), ("work", True), False),
        (("work", False), ("work", False), True),
        (("work", True), ("work/below", False), False),
        (("work/below", True), ("work", False), False),
        (("work", False), ("work/below", False), True),
        (("work", True), ("workshop", True), True),
        (("work/below", True), ("work/beside", True), True),
    ],
)
def test_who_is_kept_out(tmp_path: Path, first: tuple[str, bool], second: tuple[str, bool], together: bool) -> None:
    held = take(tmp_path, f"/a/{first[0]}", exclusive=first[1])
    if together:
        let_go(take(tmp_path, f"/a/{second[0]}", exclusive=second[1]))
    else:
        with pytest.raises(
            CannotBegin, match=rf"still in use .*an earlier run works in /a/{first[0]} \(processes {os.getpid()}\)"
        ):
            take(tmp_path, f"/a/{second[0]}", exclusive=second[1])
    let_go(held)
    let_go(take(tmp_path, f"/a/{second[0]}", exclusive=second[1]))


def test_a_run_waits_until_the_one_before_is_gone(tmp_path: Path, directory: Path) -> None:
    async def scenario(worker: "subprocess.Popen[str]") -> None:
        told: list[str] = []
        pid = await appears(directory / "pid")
        waiting = asyncio.create_task(Locks(tmp_path).take(str(directory / "below"), exclusive=False, waiting=told.append))
        while not told:  # noqa: ASYNC110  what is told sets no event
            await asyncio.sleep(0.01)
        assert str(directory) in told[0]
        worker.kill()
        held = await waiting
        assert held is not None
        assert not alive(pid)
        assert len(told) == 1
        let_go(held)

    with working(tmp_path, directory, "echo $$ > pid; trap '' TERM; while :; do sleep 100; done") as worker:
        asyncio.run(scenario(worker))


def test_who_gives_up_waiting_holds_nothing(tmp_path: Path) -> None:
    held = take(tmp_path, "/a")

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Locks(tmp_path).take("/a", exclusive=True, waiting=lambda _: None), 0.2)

    asyncio.run(scenario())
    let_go(held)
    let_go(take(tmp_path, "/a"))
    assert list(tmp_path.glob("*/*.run")) == []


@pytest.mark.parametrize("closing", ["", "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-;"], ids=["open", "closed"])
def test_what_a_killed_guardian_left_is_ended_first(tmp_path: Path, directory: Path, closing: str) -> None:
    """The worker is killed as well: nobody is left to end the shells that have sessions of their own."""
    shell = f'{closing} echo $$ > pid.shell; trap "" TERM; while :; do sleep 100; done'
    with working(tmp_path, directory, f"(setsid sh -c '{shell}' &); echo $$ > pid; sleep 100") as worker:

        async def killed() -> str:
            program, shell = await appears(directory / "pid"), await appears(directory / "pid.shell")
            guardian = guardian_of(program)
            os.kill(worker.pid, signal.SIGSTOP)
            guardian.kill()
            worker.kill()
            await vanishes(program)
            return shell

        pid = asyncio.run(killed())
        assert alive(pid)
        let_go(take(tmp_path, "/elsewhere"))
        assert not alive(pid), "remains are ended wherever they are"
        let_go(take(tmp_path, directory))
        assert list(tmp_path.glob("*/*.run")) == []


def test_what_is_below_what_is_left_is_ended_too(tmp_path: Path) -> None:
    """It has neither mark nor lock, but a parent that has."""
    held = take(tmp_path, "/a")
    held.passed_on()
    command = "env -i sh -c 'echo $$; exec sleep 100'; true"
    shell = subprocess.Popen(
        ["sh", "-c", command], env={**os.environ, "ORCHESTRATOR_TREE": held.mark}, stdout=subprocess.PIPE, text=True
    )
    assert shell.stdout is not None
    pid = shell.stdout.readline().strip()
    let_go(take(tmp_path, "/a"))
    assert not alive(pid)
    assert shell.wait(10) == -signal.SIGKILL
    shell.stdout.close()


def test_what_can_not_be_told_from_others_is_waited_for(tmp_path: Path, directory: Path) -> None:
    """It threw its mark away, but kept what it inherited: it isn't killed, and nobody works beside it."""
    command = "(setsid env -i PATH=$PATH sh -c 'echo $$ > pid.shell; sleep 100' &); echo $$ > pid; sleep 100"
    with working(tmp_path, directory, command) as worker:

        async def killed() -> str:
            program, shell = await appears(directory / "pid"), await appears(directory / "pid.shell")
            os.kill(worker.pid, signal.SIGSTOP)
            guardian_of(program).kill()
            worker.kill()
            await vanishes(program)
            return shell

        pid = asyncio.run(killed())
        with pytest.raises(CannotBegin, match=rf"processes [\d, ]*\b{pid}\b"):
            take(tmp_path, directory)
        psutil.Process(int(pid)).children()[0].kill()
        let_go(take(tmp_path, directory, patience=10))


def test_a_stopped_worker_keeps_nobody_out_for_longer_than_its_program_lives(tmp_path: Path, directory: Path) -> None:
    with working(tmp_path, directory, "echo $$ > pid; sleep 0.3") as worker:
        asyncio.run(appears(directory / "pid"))
        worker.send_signal(signal.SIGSTOP)
        let_go(take(tmp_path, directory, patience=10))
        assert not alive((directory / "pid").read_text())
        worker.send_signal(signal.SIGCONT)
        assert worker.wait(10) == 0


def test_one_that_is_just_starting_is_left_alone(tmp_path: Path) -> None:
    """No guardian is known yet: it is no remains."""
    held = take(tmp_path, "/a")
    shell = subprocess.Popen(["sleep", "100"], env={**os.environ, "ORCHESTRATOR_TREE": held.mark})
    with pytest.raises(CannotBegin):
        take(tmp_path, "/a")
    asyncio.run(Locks(tmp_path).sweep())
    assert shell.poll() is None
    shell.kill()
    shell.wait()
    let_go(held)


def test_a_worker_that_starts_ends_what_is_left(tmp_path: Path) -> None:
    held = take(tmp_path, "/a")
    held.passed_on()
    shell = subprocess.Popen(["sleep", "100"], env={**os.environ, "ORCHESTRATOR_TREE": held.mark})
    asyncio.run(Locks(tmp_path).sweep())
    assert shell.wait(10) == -signal.SIGKILL


def test_of_many_at_once_one_works_at_a_time(tmp_path: Path, directory: Path) -> None:
    """A witness: each takes a file that only one can make."""
    command = "set -C; : > taken || echo twice >> failed; set +C; sleep 0.05; rm taken; echo . >> done"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(directory), command],
            env={**os.environ, "PYTHONPATH": str(Path(locks.__file__).parents[1])},
            stdout=subprocess.DEVNULL,
        )
        for _ in range(8)
    ]
    assert [run.wait(60) for run in runs] == [0] * 8
    assert not (directory / "failed").exists()
    assert (directory / "done").read_text() == ".\n" * 8


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 40, b'{"directory": "/a"', b"[]\n", b'{"directory": 1, "exclusive": true}\nx\n']
)
def test_a_record_that_a_power_cut_left_half_written_is_in_nobodys_way(tmp_path: Path, content: bytes) -> None:
    """Files that were just written are often empty after one."""
    let_go(take(tmp_path, "/a"))
    record = next(tmp_path.iterdir()) / "0123456789abcdef.run"
    record.write_bytes(content)
    shell = subprocess.Popen(["sleep", "100"], env={**os.environ, "ORCHESTRATOR_TREE": "0123456789abcdef"})
    asyncio.run(Locks(tmp_path).sweep())
    assert shell.wait(10) == -signal.SIGKILL
    let_go(take(tmp_path, "/a"))
    assert not record.exists()
