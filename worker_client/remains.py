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
    """Kill all that has the mark, until nothing is left, or what can't be killed has had some seconds to end."""
    until = time.monotonic() + PATIENCE
    while found := [process for process in psutil.process_iter() if process.pid != os.getpid() and _is_marked(process, mark)]:
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > until:
            return
        time.sleep(_PAUSE)


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def guards(pid: int, mark: str) -> bool:
    """Whether this process is the living guardian of the tree with this mark."""
    try:
        process = psutil.Process(pid)
        return mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
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
