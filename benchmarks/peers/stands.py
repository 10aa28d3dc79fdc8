"""Starts what peers keep their jobs in, each as durable as it can be, on the same disk; and stops it."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.postgres.cluster import Cluster

PATIENCE_S = 10


def places(stack: ExitStack, cluster: Cluster) -> dict[str, str]:
    """Until the stack ends: what stands in the braces of a System's place; nothing for what is not installed."""
    found = {name: cluster.database(f"bench_{name}") for name in ("procrastinate", "pgqueuer")}
    found["directory"] = str(cluster.directory)
    folders = [cluster.directory / name for name in ("redis", "beanstalkd")]
    for folder in folders:
        folder.mkdir()
    if redis := shutil.which("redis-server"):
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        port = _free_port()
        command = [redis, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folders[0]), *durable]
        stack.enter_context(_running(command, port, folders[0]))
        found["redis"] = f"redis://127.0.0.1:{port}"
    if beanstalkd := shutil.which("beanstalkd"):
        port = _free_port()
        command = [beanstalkd, "-l", "127.0.0.1", "-p", str(port), "-b", str(folders[1]), "-f", "0"]
        stack.enter_context(_running(command, port, folders[1]))
        found["beanstalkd"] = f"127.0.0.1:{port}"
    return found


def servers() -> dict[str, str]:
    """The versions of the programs that are there."""
    found = {}
    for name, option in (("redis-server", "--version"), ("beanstalkd", "-v")):
        if program := shutil.which(name):
            said = subprocess.run([program, option], capture_output=True, text=True, check=True).stdout
            found[name] = next(iter(re.findall(r"\d+(?:\.\d+)+", said)), "")
    return found


@contextmanager
def _running(command: list[str], port: int, directory: Path) -> Iterator[None]:
    with (directory / "log").open("a") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        try:
            _answers(command[0], process, port)
            yield
        finally:
            process.terminate()
            process.wait()


def _answers(name: str, process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{name} did not start")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
