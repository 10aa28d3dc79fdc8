"""What is left of a tree of processes whose guardian was killed: found by the mark that all of it has in its environment."""

import contextlib
import os
import time
from typing import Final

import psutil

MARK: Final = "ORCHESTRATOR_TREE"
"""Variable that every process of a tree has in its environment, with a value of the tree's own."""
PATIENCE: Final = 10.0
_PAUSE: Final = 0.05


def end_remains(mark: str) -> None:
    """Kill all that has the mark, and what is below it, until it is gone, or has had some seconds to go."""
    until = time.monotonic() + PATIENCE
    while found := _remains(mark):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > until:
            return
        time.sleep(_PAUSE)


def _remains(mark: str) -> list[psutil.Process]:
    ours = os.getpid()
    others = [process for process in psutil.process_iter(["ppid"]) if process.pid != ours]
    found = [process for process in others if _is_marked(process, mark)]
    pids = {process.pid for process in found}
    for parent in found:
        below = [process for process in others if process.info["ppid"] == parent.pid and process.pid not in pids]
        found += below
        pids.update(process.pid for process in below)
    return [process for process in found if _is_alive(process)]


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def guards(pid: int, mark: str) -> bool:
    """Whether this process is the living guardian of the tree with this mark."""
    try:
        process = psutil.Process(pid)
        return mark in process.cmdline() and _is_alive(process)
    except psutil.Error:
        return False


def holders(path: str) -> list[int]:
    """The processes that hold a file open, as far as we may know."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(file.path == path for file in process.open_files()):
                found.append(process.pid)
    return found
