"""The life of a worker, against a peer that plays the server, with real programs and a clock of the test's own."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import worker_client
from tests.unit.worker_client.peer import Peer, Reply, lost
from tests.unit.worker_client.queue_peer import Queue
from worker_client.client import AsyncClient
from worker_client.directories import ConfigurationError
from worker_client.errors import Forbidden
from worker_client.exchange import Retries
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Failed, Parked
from worker_client.runners.script import ScriptRunner
from worker_client.worker import Worker

QUICK = Retries(attempts=3, seconds=5, first=0.01, most=0.02)


class HandClock:
    """Goes on only when told to."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            event = asyncio.Event()
            self._sleepers.append((self._now + seconds, event))
            await event.wait()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for at, event in self._sleepers:
            if at <= self._now:
                event.set()
        self._sleepers = [(at, event) for at, event in self._sleepers if at > self._now]


class Stage:
    """A queue, a directory, a worker that runs in it."""

    def __init__(self, queue: Queue, directory: Path, worker: Worker, serving: asyncio.Task[None]) -> None:
        self.queue, self.directory, self.worker, self.serving = queue, directory, worker, serving

    async def end_of(self, task_id: int) -> tuple[str, dict[str, Any]]:
        await self.queue.until(lambda: task_id in self.queue.ends)
        return self.queue.ends[task_id][0]


@asynccontextmanager
async def on_stage(tmp_path: Path, prepare: Callable[[Worker], object] | None = None, **options: Any) -> AsyncIterator[Stage]:
    queue = Queue()
    with Peer(queue) as peer:
        client = AsyncClient(peer.url, retries=QUICK)
        worker = Worker(client, directories=[tmp_path], **{"runners": [ScriptRunner()], "poll_seconds": 5, **options})
        if prepare is not None:
            prepare(worker)
        serving = asyncio.create_task(worker.serve())
        try:
            yield Stage(queue, tmp_path, worker, serving)
        finally:
            worker.drain()
            worker.drain()
            await asyncio.wait({serving}, timeout=10)
            assert serving.done()


def script(command: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "script", "spec": {"command": command, **spec}}


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


def test_a_cancel_is_obeyed_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("echo begun; sleep 100"))
            await stage.queue.until(lambda: "begun" in stage.queue.text(7))
            stage.queue.cancel(7)
            assert (await stage.end_of(7)) == ("release", {"lease": "7.1.ab", "reason": "cancelled on request"})

    asyncio.run(scenario())


def test_a_lost_lease_stops_the_work_and_reports_nothing(tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def work(context: RunContext) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            assert context.grace == 0
            stopped.set()

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("sleep")(work)) as stage:
            stage.queue.add(7, tmp_path, kind="sleep")
            await stage.queue.until(lambda: len(stage.queue.beats.get(7, [])) == 2)
            stage.queue.refuses[7] = lost("reclaimed")
            await asyncio.wait_for(stopped.wait(), 5)
            stage.queue.add(8, tmp_path, **script("true"))
            assert (await stage.end_of(8))[0] == "complete"
            assert 7 not in stage.queue.ends

    asyncio.run(scenario())


def test_after_a_suspension_the_work_ends_before_anything_else(tmp_path: Path) -> None:
    """The lease ran out while nobody counted: the program is gone though the server can't be asked."""
    clock = HandClock()

    async def scenario() -> None:
        async with on_stage(tmp_path, clock=clock, lease_seconds=60) as stage:
            stage.queue.add(7, tmp_path, **script("echo $$ > pid; echo begun; trap '' TERM; while :; do sleep 1; done"))
            await stage.queue.until(lambda: "begun" in stage.queue.text(7))
            pid = int((tmp_path / "pid").read_text())
            stage.queue.silent = True
            clock.advance(49)
            await asyncio.sleep(0)
            os.kill(pid, 0)
            clock.advance(3600)
            with suppress(ProcessLookupError):
                async with asyncio.timeout(10):
                    while True:
                        os.kill(pid, 0)
                        await asyncio.sleep(0.01)
            assert 7 not in stage.queue.ends

    asyncio.run(scenario())


def test_heartbeats_that_get_through_keep_the_work_alive(tmp_path: Path) -> None:
    """The lease lasts far shorter than the work."""

    async def scenario() -> None:
        async with on_stage(tmp_path, lease_seconds=1.2) as stage:
            stage.queue.add(7, tmp_path, **script("sleep 2; echo done"))
            assert (await stage.end_of(7))[0] == "complete"
            waits = [beat.get("wait", 0) for beat in stage.queue.beats[7]]
            assert waits[0] == 0, "the first one confirms the claim, before the work begins"
            assert waits[1] == pytest.approx(0.4)
            assert len(waits) >= 4

    asyncio.run(scenario())


def test_a_task_that_takes_too_long(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("sleep 100"), timeout_seconds=1)
            verb, body = await stage.end_of(7)
            assert (verb, body["error"]["type"]) == ("fail", "Timeout")

    asyncio.run(scenario())


def test_draining_lets_work_end_then_gives_back(tmp_path: Path) -> None:
    clock = HandClock()

    async def scenario() -> None:
        async with on_stage(tmp_path, clock=clock, concurrency=2, drain_seconds=30, lease_seconds=600) as stage:
            stage.queue.add(1, tmp_path, **script("echo begun; while [ ! -e go ]; do sleep 0.05; done"))
            stage.queue.add(2, tmp_path, **script("echo begun; sleep 100"))
            await stage.queue.until(lambda: stage.queue.text(1) and stage.queue.text(2))
            stage.worker.drain()
            (tmp_path / "go").touch()
            assert (await stage.end_of(1))[0] == "complete"
            assert 2 not in stage.queue.ends
            clock.advance(31)
            assert (await stage.end_of(2)) == ("release", {"lease": "2.1.ab", "reason": "the worker is shutting down"})
            await stage.serving

    asyncio.run(scenario())


def test_told_a_second_time_it_gives_back_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("trap '' TERM; echo begun; while :; do sleep 1; done"))
            await stage.queue.until(lambda: stage.queue.text(7))
            stage.worker.drain()
            stage.worker.drain()
            assert (await stage.end_of(7))[0] == "release"

    asyncio.run(scenario())


def test_handlers(tmp_path: Path) -> None:
    def register(worker: Worker) -> None:
        @worker.handler("sync")
        def sync(context: RunContext) -> dict[str, Any]:
            context.log("from a thread\nsecond line")
            context.progress(50, "half")
            context.set_session("s-1")
            context.checkpoint({"at": 1})
            return {"thread": threading.current_thread() is not threading.main_thread()}

        @worker.handler("async")
        async def coroutine(context: RunContext) -> Failed:
            return Failed(type="Nope", message=context.task.prompt or "", retryable=False)

        @worker.handler("raises")
        def raises(context: RunContext) -> None:
            raise KeyError("missing")

        @worker.handler("parks")
        async def parks(context: RunContext) -> Parked:
            return Parked(question="Which one?", options=["a", "b"])

        @worker.handler("odd")
        async def odd(context: RunContext) -> object:
            return object()

    async def scenario() -> None:
        async with on_stage(tmp_path, register, concurrency=5) as stage:
            for number, kind in enumerate(("sync", "async", "raises", "parks", "odd"), 1):
                stage.queue.add(number, tmp_path, kind=kind, prompt="because")
            assert await stage.end_of(1) == ("complete", {"lease": "1.1.ab", "result": {"thread": True}})
            assert stage.queue.text(1) == "from a thread\nsecond line\n"
            told: dict[str, Any] = {}
            for beat in stage.queue.beats[1]:
                told.update(beat)
            assert told["progress"] == {"percent": 50, "message": "half"}
            assert (told["session_id"], told["checkpoint"]) == ("s-1", {"at": 1})
            verb, body = await stage.end_of(2)
            assert (verb, body["error"], body["retryable"]) == ("fail", {"type": "Nope", "message": "because"}, False)
            assert (await stage.end_of(3))[1]["error"] == {"type": "KeyError", "message": "'missing'"}
            assert (await stage.end_of(4)) == ("park", {"lease": "4.1.ab", "question": "Which one?", "options": ["a", "b"]})
            verb, body = await stage.end_of(5)
            assert (verb, body["error"]["type"]) == ("fail", "ReportRefused")

    asyncio.run(scenario())


def test_a_thread_is_waited_for_when_its_task_is_cancelled(tmp_path: Path) -> None:
    def work(context: RunContext) -> str:
        context.log("begun")
        return "stopped" if context.cancelled.wait(10) else "never told"

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("thread")(work)) as stage:
            stage.queue.add(7, tmp_path, kind="thread")
            await stage.queue.until(lambda: stage.queue.text(7))
            stage.queue.cancel(7)
            assert await stage.end_of(7) == ("complete", {"lease": "7.1.ab", "result": "stopped"})

    asyncio.run(scenario())


def test_what_it_must_not_run_it_gives_back(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for directory in (mine, other):
        directory.mkdir()
    (mine / "link").symlink_to(other)

    async def scenario() -> None:
        clock = HandClock()
        async with on_stage(mine, clock=clock, lease_seconds=600) as stage:
            refused = {1: other, 2: mine / "link", 3: mine / "missing", 4: mine}
            for number, directory in refused.items():
                stage.queue.add(number, directory, **(script("true") if number != 4 else {"kind": "agent"}))
                verb, body = await stage.end_of(number)
                assert (verb, bool(body["reason"])) == ("release", True)
                assert number not in stage.queue.beats, "given back unused"
                polls = len(stage.queue.polls)
                await asyncio.sleep(0.05)
                assert len(stage.queue.polls) == polls, "it does not ask again at once"
                clock.advance(31)

    asyncio.run(scenario())


def test_a_question_without_an_answer_is_asked_again_unchanged(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = HandClock()
        async with on_stage(tmp_path, clock=clock) as stage:
            stage.queue.answer_claim = lambda _: None
            await stage.queue.until(lambda: len(stage.queue.polls) >= QUICK.attempts)  # type: ignore[operator]
            stage.queue.answer_claim = None
            stage.queue.add(7, tmp_path, **script("true"))
            while 7 not in stage.queue.ends:
                clock.advance(5)
                await asyncio.sleep(0.01)
            asked = [poll["poll_id"] for poll in stage.queue.polls]
            assert len(set(asked[: 1 + QUICK.attempts])) == 1  # type: ignore[operator]

    asyncio.run(scenario())


def test_until_idle_and_so_many_tasks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path, concurrency=2, until_idle=True) as stage:
            for number in (1, 2, 3):
                stage.queue.add(number, tmp_path, **script("true"))
            await stage.serving
            assert set(stage.queue.ends) == {1, 2, 3}
        async with on_stage(tmp_path, concurrency=2, max_tasks=3) as stage:
            for number in (1, 2, 3, 4):
                stage.queue.add(number, tmp_path, **script("true"))
            await stage.serving
            assert len(stage.queue.ends) == 3

    asyncio.run(scenario())


def test_a_worker_that_can_not_work_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no directory"):
        asyncio.run(Worker(directories=[tmp_path / "missing"], runners=[ScriptRunner()]).serve())
    with pytest.raises(ConfigurationError, match="at least one directory"):
        asyncio.run(Worker(directories=[], runners=[ScriptRunner()]).serve())
    with pytest.raises(ConfigurationError, match="no runner"):
        asyncio.run(Worker(directories=[tmp_path]).serve())
    with pytest.raises(ConfigurationError, match="allowed paths"):
        asyncio.run(Worker(directories=[tmp_path], fence=[tmp_path / ".." / "else"], kinds=["x"], runners=[_Any("x")]).serve())
    with pytest.raises(ConfigurationError, match="at least one task"):
        Worker(directories=[tmp_path], concurrency=0)

    async def forbid() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.answer_claim = lambda _: Reply(403, error=("FORBIDDEN", "not there", {}))
            with pytest.raises(Forbidden):
                await stage.serving

    asyncio.run(forbid())


class _Any:
    needs_directory = False

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def run(self, context: RunContext) -> Failed:
        return Failed(message=context.directory)


def cli(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(worker_client.__file__).parents[1]), **variables}
    command = [sys.executable, "-m", "worker_client.cli", "run", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_command_line_drains_on_sigterm(tmp_path: Path) -> None:
    queue = Queue()
    with Peer(queue) as peer, cli("--dir", str(tmp_path), "--drain-seconds", "0", ORCHESTRATOR_URL=peer.url) as worker:
        queue.add(7, tmp_path, **script("echo begun; sleep 100"))
        queue.wait(lambda: queue.text(7))
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=10)
        assert worker.returncode == 0
        assert queue.ends[7][0][0] == "release"
        assert f"asks {peer.url} for script tasks in {tmp_path}" in told


def test_work_ends_before_its_lease_even_if_the_worker_stands_still(tmp_path: Path) -> None:
    queue = Queue()
    with Peer(queue) as peer, cli("--dir", str(tmp_path), "--lease-seconds", "2", ORCHESTRATOR_URL=peer.url) as worker:
        queue.add(7, tmp_path, **script("echo $$; trap '' TERM; while :; do sleep 1; done"))
        queue.wait(lambda: queue.text(7))
        worker.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        pid = int(queue.text(7))
        while psutil.pid_exists(pid):
            assert time.monotonic() - stopped < 2
            time.sleep(0.01)
        worker.kill()
        worker.communicate()


def test_the_exit_codes_of_the_command_line(tmp_path: Path) -> None:
    starts = [cli("--dir", str(tmp_path / "missing")), cli(), cli("--dir", str(tmp_path), "--kind", "opera")]
    assert [(start.communicate(timeout=20), start.returncode)[1] for start in starts] == [1, 2, 2]


def test_importing_the_package_needs_none_of_the_servers_libraries() -> None:
    program = (
        "import sys, worker_client\n"
        "for name in worker_client.__all__: getattr(worker_client, name)\n"
        "bad = {'litestar', 'aiosqlite', 'structlog', 'prometheus_client', 'orchestrator', 'uvicorn'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(worker_client.__file__).parents[1])
