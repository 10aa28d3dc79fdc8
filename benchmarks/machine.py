"""What the machine itself does: its disk, its cores."""

import os
import time
from collections.abc import Iterable
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
