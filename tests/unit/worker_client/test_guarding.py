"""What a guardian holds a program to, and what a program can't do to its guardian."""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.acceptance.programs import mentioning
from tests.unit.worker_client.test_processes import appears, spawn, until
from worker_client.contract.limits import ResourceLimits
from worker_client.entering import opened
from worker_client.errors import CannotBegin
from worker_client.guardian.limits import Limits
from worker_client.guardian.tree import Process
from worker_client.processes import ProcessTree
from worker_client.remains import MARK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is best effort")
SPIN = "while :; do :; done"


def hungry(mebibytes: int, *, then: str = "time.sleep(100)") -> str:
    """A program that has so much memory of its own."""
    return f"{sys.executable} -c 'import os, time; data = bytearray(os.urandom(1)) * ({mebibytes} << 20); {then}'"


def test_memory_is_that_of_all_together() -> None:
    limits = ResourceLimits(memory="150Mi")
    ended, _ = asyncio.run(spawn(hungry(60, then="pass"), limits=limits))
    assert (ended.exit_code, ended.exceeded) == (0, 0)
    began = time.monotonic()
    ended, _ = asyncio.run(spawn(f"{hungry(60)} & (setsid {hungry(60)} &) ; {hungry(60)} & wait", limits=limits))
    assert ended.signal == "SIGKILL"
    assert 150 << 20 < ended.exceeded < 400 << 20
    assert ended.peak_memory_bytes >= ended.exceeded
    assert time.monotonic() - began < 20


def test_memory_that_is_shared_counts_once() -> None:
    """Six processes have the same 60 MiB: none of them wrote to it."""
    fork = "[os.fork() or (time.sleep(0.7), os._exit(0)) for _ in range(5)]; time.sleep(0.7)"
    ended, printed = asyncio.run(spawn(hungry(60, then=fork), limits=ResourceLimits(memory="200Mi")))
    assert (ended.exit_code, ended.exceeded) == (0, 0), printed


def test_who_has_ended_while_we_look_has_nothing() -> None:
    """It had 60 MiB when the tree was read; a parent that has not heard of its end keeps its number."""
    limits = Limits(memory=1, cpu=None, clock=itertools.count().__next__)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        limits.look(lambda: [Process(pid, 1, 1, alive=True, ticks=0, pages=60 << 8) for pid in (ended.pid, 0)])
        assert limits.exceeded == 0
    limits.look(lambda: [Process(os.getpid(), 1, 1, alive=True, ticks=0, pages=60 << 8)])
    assert limits.exceeded > 1 << 20


@pytest.mark.parametrize("command", [SPIN, f"{SPIN} & {SPIN}", "while :; do /bin/true; done"], ids=["one", "two", "many"])
def test_a_share_of_the_processor(command: str) -> None:
    """On average; the second that an idle tree may save up is taken off."""

    async def spend(tree: ProcessTree) -> None:
        await asyncio.sleep(3)
        await tree.stop(0.1)

    ended, _ = asyncio.run(spawn(command, spend, limits=ResourceLimits(cpu="250m")))
    assert 0 < ended.cpu_seconds < 0.25 * 3 + 0.25 + 0.4
    assert ended.signal is not None


def test_what_is_slowed_down_ends_as_it_would_and_can_be_stopped(tmp_path: Path) -> None:
    program = "import time\nwhile time.process_time() < 0.4: pass\nprint('done')"
    ended, printed = asyncio.run(spawn([sys.executable, "-c", program], limits=ResourceLimits(cpu="200m")))
    assert (ended.exit_code, printed) == (0, "done\n")

    async def stop(tree: ProcessTree) -> None:
        process = psutil.Process(int(await appears(tmp_path / "pid")))
        await until(lambda: process.status() == psutil.STATUS_STOPPED)
        assert (await tree.stop(10)).signal == "SIGTERM"

    asyncio.run(spawn(f"echo $$ > {tmp_path}/pid; {SPIN}", stop, limits=ResourceLimits(cpu=0.01)))


def test_the_programs_environment_acts_on_the_program_only(tmp_path: Path) -> None:
    """A library that every program of this environment loads, and a Python that imports what lies in a folder of its own."""
    (tmp_path / "sitecustomize.py").write_text(f"import os\nopen('{tmp_path}/pids', 'a').write(f'{{os.getpid()}}\\n')\n")
    hostile = {"LD_PRELOAD": "/nowhere/evil.so", "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "x", MARK: "mine"}

    async def look(tree: ProcessTree) -> None:
        pid = await appears(tmp_path / "pid")
        guardian = psutil.Process(int(pid)).parent()
        assert guardian is not None
        assert guardian.pid == tree.pid
        assert not guardian.environ().keys() & {"PATH", "HOME", *hostile}
        assert psutil.Process(int(pid)).environ()[MARK] != "mine"

    command = f"echo $$ > {tmp_path}/pid; {sys.executable} -c 'import os; print(os.getpid())'; sleep 0.3"
    _, printed = asyncio.run(spawn(command, look, environment={"PATH": os.environ["PATH"], **hostile}))
    assert "/nowhere/evil.so" in printed
    assert (tmp_path / "pids").read_text().strip() in printed


@pytest.mark.parametrize(
    ("environment", "words"),
    [({"": "x"}, "illegal environment variable name"), ({"A": "b" * (1 << 18)}, "Argument list too long")],
)
def test_an_environment_that_no_program_can_have(environment: dict[str, str], words: str) -> None:
    ended, printed = asyncio.run(spawn(["true"], environment=environment))
    assert ended.exit_code == 126
    assert words in printed


def test_a_large_environment_is_passed_whole() -> None:
    variables = {f"V{number}": "x" * 10_000 for number in range(50)}
    _, printed = asyncio.run(spawn("env | grep -c ^V[0-9]*=x", environment={"PATH": os.environ["PATH"], **variables}))
    assert printed == "50\n"


def test_time_that_is_over_before_it_begins(tmp_path: Path) -> None:
    """The worker was stopped, and goes on, after its lease: the program isn't even started."""
    ended, _ = asyncio.run(spawn(f"echo ran > {tmp_path}/ran", alive_for=-1.0))
    assert ended.signal == "SIGKILL"
    assert not (tmp_path / "ran").exists()


def test_the_deadline_holds_from_the_first_moment() -> None:
    ended, _ = asyncio.run(spawn("trap '' TERM; while :; do sleep 100; done", alive_for=0.3))
    assert ended.signal == "SIGKILL"


RUNNER = """
import os, sys
while True:
    if os.fork():
        os._exit(0)
    SETSID
    with open(sys.argv[1], "w") as file:
        file.write(str(os.getpid()))
"""


@pytest.mark.parametrize("leaving", ["pass", "os.setsid()"], ids=["one session", "a session each"])
def test_what_forks_and_exits_for_ever_is_caught(tmp_path: Path, leaving: str) -> None:
    """By the time that its number is known there is another one."""

    async def stop(tree: ProcessTree) -> None:
        await until((tmp_path / "pid").exists)
        async with asyncio.timeout(30):
            await tree.stop(0.2)

    program = RUNNER.replace("SETSID", leaving)
    asyncio.run(spawn(["/bin/sh", "-c", '"$@" & sleep 100', "sh", sys.executable, "-c", program, str(tmp_path / "pid")], stop))
    assert mentioning(str(tmp_path)) == []


def test_a_symlink_that_takes_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "outside/b").mkdir(parents=True)
    ended, printed = asyncio.run(spawn("pwd", directory=str(tmp_path / "a/b")))
    assert (ended.exit_code, printed.strip()) == (0, str(tmp_path / "a/b"))
    (tmp_path / "a").rename(tmp_path / "was")
    (tmp_path / "a").symlink_to("outside")
    with pytest.raises(CannotBegin, match=r"a/b isn't what it was when it was checked: `a` in it is a symlink or no directory"):
        asyncio.run(spawn("pwd", directory=str(tmp_path / "a/b")))
    with pytest.raises(CannotBegin, match="`was2` in it can't be opened: No such file"):
        asyncio.run(spawn("pwd", directory=str(tmp_path / "was2")))


def test_a_directory_that_is_swapped_all_the_time(tmp_path: Path) -> None:
    """Whichever it is at that moment: no program starts outside."""
    (tmp_path / "outside").mkdir()
    place = tmp_path / "place"
    place.mkdir()
    swap = f"while :; do mv -T {place} {tmp_path}/away; ln -s outside {place}; rm {place}; mv -T {tmp_path}/away {place}; done"
    with subprocess.Popen(["/bin/sh", "-c", swap], stderr=subprocess.DEVNULL) as swapping:
        try:

            async def scenario() -> None:
                begun = given_back = 0
                while begun < 5 or given_back < 5:
                    try:
                        await spawn("touch here", directory=str(place))
                        begun += 1
                    except CannotBegin:
                        given_back += 1

            asyncio.run(scenario())
        finally:
            swapping.kill()
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_directory_that_its_user_may_not_enter() -> None:
    """It is given back: no program could begin there, which is no fault of the program's."""
    outer = Path(tempfile.mkdtemp())
    outer.chmod(0o755)
    (outer / "closed").mkdir(mode=0)
    # What root may not enter there is not.
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65_534)
            opened(str(outer / "closed"))
        except CannotBegin as error:
            os._exit(0 if "can't be worked in: Permission denied" in str(error) else 2)
        finally:
            os._exit(1)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        (outer / "closed").rmdir()
        outer.rmdir()
