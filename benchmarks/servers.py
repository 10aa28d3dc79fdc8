"""Starts the servers that are measured, on a core of their own, and stops them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, socket
from urllib.parse import urlsplit

PATIENCE_SECONDS = 30
ADDRESS = re.compile(r"http://[^\s/]+:\d+")


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
"""As they were when we started: we may be pinned to one of them later."""


@contextmanager
def apart() -> Iterator[None]:
    """The client on the last core, away from pinned servers, which have the first."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, CORES[-1:])
    try:
        yield
    finally:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, CORES)


@contextmanager
def orchestrator(directory: Path, *, pinned: bool = True, **variables: str) -> Iterator[tuple[str, int]]:
    """`orchestrator serve` on a fresh file, as its users start it; yields host and port."""
    with replica(directory, f"sqlite:///{directory / 'tasks.db'}", pinned=pinned, **variables) as (address, _):
        yield address


@contextmanager
def replica(directory: Path, database: str, *, pinned: bool = False, **variables: str) -> Iterator[tuple[tuple[str, int], int]]:
    """`orchestrator serve` on a database; yields host and port, and the process's id."""
    program = str(Path(sys.executable).with_name("orchestrator"))
    command = [program, "serve", "--port", "0", "--database", database]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
    with _running(command, directory, environment | {"APP_ENV": "production"} | variables, pinned=pinned) as process:
        yield _address(process), process.pid


@contextmanager
def bare(directory: Path, *, pinned: bool = True) -> Iterator[tuple[tuple[str, int], int]]:
    """A bare Litestar that sends back the JSON that it got; yields host and port, and the process's id."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "benchmarks.echo:app", "--port", str(port), "--no-access-log"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    # Its connections wait while ours are measured, on a slow machine for longer than uvicorn has patience.
    command += ["--timeout-keep-alive", "600", "--log-level", "warning"]
    with _running(command, directory, environment, pinned=pinned) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                yield ("127.0.0.1", port), process.pid
                return
        raise SystemExit("the bare server did not start")


@contextmanager
def _running(
    command: list[str], directory: Path, environment: dict[str, str], *, pinned: bool
) -> Iterator[subprocess.Popen[str]]:
    with (directory / "server.log").open("a") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        if pinned and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, CORES[:1])
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[str]) -> tuple[str, int]:
    for line in process.stdout or ():
        if found := ADDRESS.search(line):
            parts = urlsplit(found[0])
            return parts.hostname or "127.0.0.1", parts.port or 80
    raise SystemExit("orchestrator serve ended before it printed its address; server.log has the reason")
