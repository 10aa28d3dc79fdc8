"""Stands between a worker and the program it runs, as a process of its own, so that nothing of the program is ever left behind.

Started as `python -I -S guardian.py STATUS_FD INPUT_FD PROGRAM [ARGUMENT ...]` with the program's environment and directory;
POSIX, standard library only. INPUT_FD becomes the program's standard input. On Linux it is a child subreaper: whatever the
program starts, however often it forks or changes its session, stays below it. It ends everything below it when the program has
ended, when it is told to, when its worker has died (the control pipe on standard input closes), and when the time that the
worker last granted runs out.

Control, one per line: `stop SECONDS` (SIGTERM, and SIGKILL after so many seconds), `live TIME` (SIGKILL at that time of the boot
clock). When all is gone it writes `PID STATUS CPU_SECONDS PEAK_BYTES` to the status pipe, the raw wait status.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

LEFTOVER_GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL for what a program that has ended left behind."""
TERM_GRACE: Final = 10.0
"""The same when the guardian itself is sent SIGTERM."""
_POLL: Final = 0.05
_NEVER: Final = float("inf")
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def boot_clock() -> Callable[[], float]:
    """Seconds of a clock that goes on while the machine is suspended, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if clock is None else lambda: time.clock_gettime(clock)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  needed nowhere else

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _parents() -> dict[int, int]:
    """Of every living process, its parent; zombies don't count."""
    parents = {}
    if sys.platform == "linux":
        for name in os.listdir("/proc"):  # noqa: PTH208  starts faster
            if name.isdecimal():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  starts faster
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                    if state not in b"ZX":
                        parents[int(name)] = int(parent)
    else:
        with os.popen("ps -A -o pid=,ppid=,stat=") as lines:  # noqa: S605, S607  a constant
            for pid, parent, state in (line.split(None, 2) for line in lines):
                if not state.startswith("Z"):
                    parents[int(pid)] = int(parent)
    return parents


def descendants(root: int) -> list[int]:
    """Every living process below `root`, nearest first."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


class Guardian:
    """Runs one program and ends all that comes of it."""

    def __init__(self, control: int, source: int, clock: Callable[[], float]) -> None:
        self._control = [control]
        self._source = source
        self._clock = clock
        self._received = b""
        self._kill_at = _NEVER
        self._terminated: set[int] | None = None
        self._program = 0
        self._status = 0

    def run(self, argv: list[str]) -> tuple[int, int]:
        """Run the program to its end and the end of all it started; its process id and raw wait status."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._terminate(TERM_GRACE))
        self._program = os.fork()
        if self._program == 0:
            _become(argv, self._source)
        os.close(self._source)
        # Without these, the worker would see the end of the output only when the guardian ends.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        while self._collect():
            self._end_overdue()
            # Its own clock goes on during a suspension, the one that select counts by doesn't: so look once a second.
            timeout = _POLL if self._terminated is not None else min(1.0, max(0.0, self._kill_at - self._clock()))
            ready, _, _ = select.select([woken, *self._control], [], [], timeout)
            if woken in ready:
                os.read(woken, 4096)
            if set(self._control).intersection(ready):
                self._obey(os.read(self._control[0], 4096))
        return self._program, self._status

    def _collect(self) -> bool:
        """Take note of who has ended; whether anything is left. To a subreaper, no child means no descendant."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self._program:
                    self._status = status
                    self._terminate(LEFTOVER_GRACE)
        except ChildProcessError:
            return False

    def _end_overdue(self) -> None:
        if self._clock() >= self._kill_at:
            self._terminate(0.0)
            _signal(signal.SIGKILL, descendants(os.getpid()))
        elif self._terminated is not None:
            new = [pid for pid in descendants(os.getpid()) if pid not in self._terminated]
            _signal(signal.SIGTERM, new)
            # A stopped process takes the signal only when it goes on.
            _signal(signal.SIGCONT, new)
            self._terminated.update(new)

    def _terminate(self, grace: float) -> None:
        self._kill_at = min(self._kill_at, self._clock() + grace)
        if self._terminated is None:
            self._terminated = set()

    def _obey(self, received: bytes) -> None:
        if not received:
            self._control = []
            self._terminate(0.0)
            return
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            verb, _, value = line.partition(b" ")
            if verb == b"stop":
                self._terminate(float(value))
            elif verb == b"live" and self._terminated is None:
                self._kill_at = float(value)


def _signal(number: int, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _become(argv: list[str], source: int) -> NoReturn:
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(source, 0)
        os.set_inheritable(source, False)  # noqa: FBT003  has no name
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(argv[0], argv)  # noqa: S606  running what it is told is its purpose
    except FileNotFoundError:
        os.write(2, f"{argv[0]}: not found\n".encode(errors="surrogateescape"))
        os._exit(127)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode(errors="surrogateescape"))
        os._exit(126)


def main(arguments: list[str]) -> None:
    """Run a program as the module says."""
    import resource  # noqa: PLC0415  does not exist on Windows, where others import this module

    status_fd, source_fd = map(int, arguments[:2])
    os.set_inheritable(status_fd, False)  # noqa: FBT003  has no name
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid, status = Guardian(0, source_fd, boot_clock()).run(arguments[2:])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    os.write(status_fd, f"{pid} {status} {used.ru_utime + used.ru_stime:.6f} {peak}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
