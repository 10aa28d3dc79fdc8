"""The processes of a machine, and which of them are below one."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from typing import NamedTuple

_STATE, _PARENT, _GROUP = 0, 1, 2
_TIMES = slice(11, 15)
_PAGES = 21


class Process(NamedTuple):
    """One process: `ticks` of processor time of its own and of children it has waited for; `pages` of memory in use."""

    pid: int
    parent: int
    group: int
    alive: bool
    ticks: int
    pages: int


def _all() -> Iterable[Process]:
    if sys.platform == "linux":
        for name in os.listdir("/proc"):  # noqa: PTH208  starts faster
            if name.isdecimal():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  starts faster
                    fields = file.read().rpartition(b")")[2].split()
                    ticks = sum(map(int, fields[_TIMES]))
                    alive = fields[_STATE] not in b"ZX"
                    yield Process(int(name), int(fields[_PARENT]), int(fields[_GROUP]), alive, ticks, int(fields[_PAGES]))
    else:
        with os.popen("ps -A -o pid=,ppid=,pgid=,stat=") as lines:  # noqa: S605, S607  a constant
            for pid, parent, group, stat in (line.split(None, 3) for line in lines):
                yield Process(int(pid), int(parent), int(group), not stat.startswith("Z"), 0, 0)


def below(root: int) -> list[Process]:
    """Every process below one, nearest first; also those that have ended, until somebody has taken note."""
    children: dict[int, list[Process]] = {}
    for process in _all():
        children.setdefault(process.parent, []).append(process)
    found = list(children.get(root, ()))
    for process in found:
        found += children.get(process.pid, ())
    return found


def send(number: int, processes: Iterable[Process]) -> None:
    """Send a signal to each."""
    for process in processes:
        if process.alive:
            with contextlib.suppress(OSError):
                os.kill(process.pid, number)


def kill_below(root: int) -> None:
    """SIGKILL for everything below one, again as long as more of it turns up."""
    killed: set[int] = set()
    while new := [process for process in below(root) if process.alive and process.pid not in killed]:
        # Who forks and exits faster than anybody can look can't do so while its whole group is being killed.
        for group in {process.group for process in new} - {os.getpgid(root)}:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        send(signal.SIGKILL, new)
        killed.update(process.pid for process in new)
