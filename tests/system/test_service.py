"""The unit files: as systemd reads them, and the server as restricted as its unit says."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from orchestrator.http.server import _DRAIN_S
from orchestrator.settings import load, unknown_variables
from tests.acceptance.programs import PATIENCE_SECONDS, ROOT, orchestrator
from tests.docs.blocks import blocks
from tests.postgres import free_port
from tests.system.confinement import USER

CONFIG: Final = ROOT / "config"
SERVER: Final = CONFIG / "orchestrator.service"
WORKER: Final = CONFIG / "orchestrator-worker.service"
MOST_EXPOSED: Final = 15
"""In tenths, of 10; systemd calls 1.5 of them well protected."""

pytestmark = pytest.mark.system


def said(unit: Path) -> dict[str, list[str]]:
    """The lines of a unit, by name."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", [SERVER, WORKER], ids=["server", "worker"])
def test_systemd_has_no_objection(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    text = unit.read_text()
    program = f"/usr/local/bin/{unit.stem}"
    assert program in text
    # It would object to a program and a user that this machine has not.
    copy.write_text(text.replace(program, sys.executable).replace("User=agents", "User=root"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_systemd_calls_the_server_well_protected() -> None:
    line = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", str(SERVER)]
    judged = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert judged.returncode == 0, judged.stdout


def test_the_unit_is_about_the_program() -> None:
    unit = said(SERVER)
    variables = dict(one.split("=", 1) for one in unit["Environment"])
    assert unknown_variables({name: value for name, value in variables.items() if name != "APP_ENV"}) == []
    assert variables["APP_DATABASE_URL"] == f"sqlite:///{unit['WorkingDirectory'][0]}/tasks.db"
    assert unit["WorkingDirectory"] == [f"/var/lib/{unit['StateDirectory'][0]}"]
    assert int(unit["TimeoutStopSec"][0]) >= _DRAIN_S + 10


class Confined:
    """The server, started as its unit says; `told` is what it has told systemd."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, notified: socket.socket, state: Path, log: Path) -> None:
        self.process, self.port, self.state, self.log = process, port, state, log
        self.told: list[str] = []
        self._notified = notified

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def until_told(self, what: str) -> None:
        """Wait for words of it to systemd."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(what in one for one in self.told):
            assert time.monotonic() < deadline, self.log.read_text()
            with contextlib.suppress(TimeoutError):
                self.told.append(self._notified.recv(4096).decode())
            assert self.process.poll() is None or any(what in one for one in self.told), self.log.read_text()


@contextlib.contextmanager
def confined(folder: Path, *line: str, **changed: str) -> Iterator[Confined]:
    """The server, or another program in its place. `changed`: what is not as the unit says."""
    unit = said(SERVER)
    one_of = {name: values[0] for name, values in unit.items()} | changed
    variables = dict(one.split("=", 1) for one in unit["Environment"])
    port, state, address = free_port(), folder / "state", f"orchestrator-test-{os.getpid()}-{free_port()}"
    state.mkdir()
    environment = {
        **variables, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": f"@{address}",
        "PYTHONDONTWRITEBYTECODE": "1", "APP_SERVER_PORT": str(port), "WATCHDOG_USEC": "2000000",
    }  # fmt: skip
    serve = [sys.executable, "-m", "orchestrator.cli", *one_of["ExecStart"].split()[1:]]
    plan: dict[str, Any] = {
        **one_of,
        "SystemCallFilter": unit["SystemCallFilter"],
        "state": str(state),
        # Where the interpreter and this checkout are that stand in for /usr/local.
        "needs": [str(ROOT), sys.prefix, sys.base_prefix],
        "line": list(line) or serve,
        "environment": environment,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    log = folder / "server.log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, log.open("w") as written:
        notified.bind(f"\0{address}")
        notified.settimeout(0.2)
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.system.confinement",
             str(folder / "plan.json")],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=written, stderr=written, text=True,
        )  # fmt: skip
        try:
            yield Confined(process, port, notified, state, log)
        finally:
            process.kill()
            process.wait()


def test_it_serves_under_the_restrictions_of_its_unit(tmp_path: Path) -> None:
    with confined(tmp_path) as server:
        server.until_told("READY=1")
        # Another one than before it answered: the server itself feeds it.
        server.told.clear()
        server.until_told("WATCHDOG=1")
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert facts["Uid"].split() == [str(USER)] * 4
        assert {facts[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
        assert (facts["NoNewPrivs"], facts["Seccomp"], facts["Umask"]) == ("1", "2", "0077")
        with httpx.Client(base_url=server.url, timeout=30) as client:
            task = client.post("/api/v1/tasks", json={"work_directory": "/srv/shop", "prompt": "Mend it"}).json()["data"]
            claimed = client.get("/api/v1/tasks/next", params={"work_path": "/srv/shop", "worker_id": "w"}).json()["data"]
            done = client.post(f"/api/v1/tasks/{task['id']}/complete", json={"lease": claimed["lease"], "result": {"ok": True}})
            assert done.json()["data"]["status"] == "completed"
            assert client.get("/health").json()["metrics"]["memory_usage"].endswith("MB")
            page = client.get("/tasks", headers={"accept": "text/html"})
            assert "Mend it" in page.text
            assert "task_completed" in client.get("/metrics").text
        made = _keys(server)
        assert made.stdout.startswith("orc_"), made.stderr
        with httpx.Client(base_url=server.url, timeout=30) as client:
            assert client.get("/api/v1/tasks").status_code == 401
        kept = sorted(server.state.iterdir())
        assert server.state / "tasks.db" in kept
        assert [path for path in kept if path.stat().st_mode & 0o077] == []
        server.process.send_signal(signal.SIGHUP)
        server.process.terminate()
        server.until_told("STOPPING=1")
        assert server.process.wait(PATIENCE_SECONDS) == 0, server.log.read_text()
        assert "Traceback" not in server.log.read_text()


def _keys(server: Confined) -> "subprocess.CompletedProcess[str]":
    """The first key, as root makes it beside the running server: the page says so."""
    database = f"sqlite:///{server.state}/tasks.db"
    line = [
        sys.executable,
        "-m",
        "orchestrator.cli",
        "keys",
        "create",
        "--name",
        "me",
        "--scope",
        "admin",
        "--database",
        database,
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run(line, env=environment, cwd=server.state, capture_output=True, text=True, check=False, timeout=60)


_MOUNT: Final = """
import ctypes, os
assert ctypes.CDLL(None, use_errno=True).mount(b"x", b"/tmp", b"tmpfs", 0, None)
raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""
TRIES: Final[dict[str, tuple[str, str]]] = {
    "write beside its place": ("open('/var/lib/elsewhere', 'w')", "Read-only file system"),
    "write to a home": ("open('/home/x', 'w')", "Read-only file system"),
    "read the system's secrets": ("open('/etc/shadow').read()", "Permission denied"),
    "see the /tmp of others": ("import os; os.stat('MARKER')", "No such file"),
    "make memory executable": ("import mmap; mmap.mmap(-1, 4096, prot=7)", "Operation not permitted"),
    "speak to the kernel": ("import socket; socket.socket(16, 3)", "Address family not supported"),
    "mount": (_MOUNT, "Operation not permitted"),
    "become root": ("import os; os.setuid(0)", "Operation not permitted"),
    "see other processes": ("import os; os.stat('/proc/1')", "No such file"),
}  # fmt: skip


@pytest.mark.parametrize("attempt", TRIES)
def test_the_restrictions_are_there(attempt: str, tmp_path: Path) -> None:
    """Else the server would be shown to work without them."""
    code, refusal = TRIES[attempt]
    with (
        tempfile.NamedTemporaryFile(dir="/tmp") as marker,
        confined(tmp_path, sys.executable, "-c", code.replace("MARKER", marker.name)) as tried,
    ):
        assert tried.process.wait(PATIENCE_SECONDS) == 1
        assert refusal in tried.log.read_text().splitlines()[-1], tried.log.read_text()


def test_what_may_not_be_taken_away_would_be_missed(tmp_path: Path) -> None:
    """A filter of system calls that is too narrow ends the server at its start."""
    with confined(tmp_path, RestrictAddressFamilies="AF_UNIX") as server:
        assert server.process.wait(PATIENCE_SECONDS) != 0
        assert "Address family not supported" in server.log.read_text()


PAGE: Final = ROOT / "docs/howto/systemd.md"


def _shown(language: str) -> list[str]:
    return [block.text for block in blocks(PAGE) if block.language == language]


def test_the_page_has_the_unit_and_changes_that_systemd_takes(tmp_path: Path) -> None:
    unit, *changes = _shown("ini")
    assert unit == SERVER.read_text()
    (tmp_path / SERVER.name).write_text(unit.replace("/usr/local/bin/orchestrator", sys.executable))
    folder = tmp_path / f"{SERVER.name}.d"
    folder.mkdir()
    assert len(changes) == 2
    for number, change in enumerate(changes):
        (folder / f"{number}.conf").write_text(change.replace("/usr/local/bin/orchestrator", sys.executable))
    verify = ["systemd-analyze", "verify", "--man=no", SERVER.name]
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    ran = subprocess.run(verify, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    (folder / "wrong.conf").write_text("[Service]\nExecStart=/nowhere\nNoSuchThing=1\n")
    ran = subprocess.run(verify, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert "NoSuchThing" in ran.stderr


def test_the_page_names_what_there_is(tmp_path: Path) -> None:
    lines = [shlex.split(line) for text in _shown("sh") for line in text.splitlines()]
    services = [line[2] for line in lines if line[0] == "systemctl" and len(line) > 2 and not line[2].startswith("-")]
    assert set(services) == {SERVER.stem}
    variables = dict(line[0].split("=", 1) for line in lines if line[0].startswith("APP_"))
    assert unknown_variables(variables) == []
    load(environ=variables)
    database = f"sqlite:///{tmp_path}/tasks.db"
    kept = said(SERVER)["Environment"][1].split("=", 1)[1]
    ours = [line for line in lines if line[0] == "orchestrator"]
    assert [line[1] for line in ours] == ["keys", "backup"]
    for line in ours:
        assert kept in line
        here = {kept: database, "/var/backups/tasks.db": str(tmp_path / "copy.db")}
        ran = orchestrator(*(here.get(word, word) for word in line[1:]), cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
