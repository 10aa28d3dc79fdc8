"""What the machine itself does: its disk, its cores."""

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil


def fdatasync(directory: Path, count: int = 200) -> float:
    """Median milliseconds to write 4 KiB and sync them, on the disk of the database."""
    times = []
    sync = getattr(os, "fdatasync", os.fsync)
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(b"\0" * 4096)
            sync(file.fileno())
            times.append(1000 * (time.perf_counter() - started))
    return median(times)


def processor() -> str:
    """Its name, as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def described() -> str:
    """What figures depend on."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        synced = fdatasync(Path(name))
    memory = psutil.virtual_memory().total / 2**30
    facts = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{platform.system()} {platform.release()}",
        f"{psutil.cpu_count()} cores of {processor()}, {memory:.0f} GB",
        f"an fdatasync of 4 kB takes {synced:.2f} ms",
        f"{platform.python_implementation()} {platform.python_version()}",
        f"commit {_commit()}",
    ]
    return ", ".join(facts)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes have used of cores so far; one that has ended counts nothing."""
    used = 0.0
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
    return used


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
