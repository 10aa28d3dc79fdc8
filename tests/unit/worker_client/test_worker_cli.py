"""The worker as a program of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

import worker_client
from tests.acceptance.agents import Claude, done
from tests.unit.worker_client.peer import Peer
from tests.unit.worker_client.queue_peer import Queue
from tests.unit.worker_client.stage import script
from tests.unit.worker_client.test_shift import Kinds


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
        _, told = worker.communicate(timeout=30)
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
    assert [(start.communicate(timeout=30), start.returncode)[1] for start in starts] == [1, 2, 2]


ALONE = """
import sys

SERVERS = {"aiosqlite", "litestar", "mcp", "orchestrator", "prometheus_client", "sqlite_utils", "structlog", "uvicorn"}


class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in SERVERS:
            raise ImportError(f"{name} is the server's")


sys.meta_path.insert(0, Refusal())
from worker_client.cli import main

main(prog_name="orchestrator-worker")
"""


def test_all_runners_work_where_there_is_no_server(tmp_path: Path) -> None:
    claude = Claude(tmp_path, done())
    (tmp_path / "worker.toml").write_text('[agents.mine]\ncommand = ["sh", "{prompt_file}"]\n')
    queue = Kinds()
    queue.add(1, tmp_path, **script("echo from a script"))
    queue.add(2, tmp_path, kind="agent", prompt="fix it")
    queue.add(3, tmp_path, kind="function", spec={"name": "json:dumps", "args": [{"a": 1}]})
    queue.add(4, tmp_path, kind="http", spec={"url": "http://127.0.0.1:1/"})
    options = ["--dir", str(tmp_path), "--agent", "claude", "--agent", "mine", "--config", str(tmp_path / "worker.toml")]
    options += ["--function", "json:dumps", "--kind", "http", "--kind", "script", "--allow-private-addresses", "all"]
    with Peer(queue) as peer:
        variables = {"PYTHONPATH": str(Path(worker_client.__file__).parents[1]), "ORCHESTRATOR_URL": peer.url}
        command = [sys.executable, "-c", ALONE, "run", "--once", "--live", *options]
        ran = subprocess.run(
            command, env={**os.environ, **variables, **claude.variables}, capture_output=True, text=True, check=False, timeout=60
        )
    assert ran.returncode == 0, ran.stderr
    ends = {number: ends[0] for number, ends in queue.ends.items()}
    assert [ends[number][0] for number in (1, 2, 3)] == ["complete"] * 3
    assert ends[3][1]["result"] == '{"a": 1}'
    assert ends[4][1]["error"]["type"] == "Connect"


def test_importing_the_package_needs_none_of_the_servers_libraries() -> None:
    program = (
        "import sys, worker_client\n"
        "for name in worker_client.__all__: getattr(worker_client, name)\n"
        "bad = {'litestar', 'aiosqlite', 'structlog', 'prometheus_client', 'orchestrator', 'uvicorn'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(worker_client.__file__).parents[1])


def test_requests_and_functions_from_the_command_line(tmp_path: Path) -> None:
    queue = Queue()
    options = (
        "--dir",
        str(tmp_path),
        "--kind",
        "http",
        "--function",
        "dump=json:dumps",
        "--allow-private-addresses",
        "10.0.0.0/8",
    )
    with Peer(queue) as peer, cli(*options, ORCHESTRATOR_URL=peer.url) as worker:
        queue.add(1, tmp_path, kind="function", spec={"name": "dump", "args": [[1]]})
        queue.add(2, tmp_path, kind="http", spec={"url": peer.url})
        queue.wait(lambda: {1, 2} <= queue.ends.keys())
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
        assert queue.polls[0]["kinds"] == ["function", "http"]
        assert queue.ends[1][0] == ("complete", {"lease": "1.1.ab", "result": "[1]"})
        assert queue.ends[2][0][1]["error"]["type"] == "AddressRefused"
