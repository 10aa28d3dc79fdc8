"""The guardian itself."""

import contextlib
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from worker_client.guardian.clock import boot_clock
from worker_client.guardian.limits import Limits
from worker_client.guardian.orders import Orders, received
from worker_client.guardian.tree import Process, below, kill_below, send

LEFTOVER_GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL for what a program that has ended left behind."""
TERM_GRACE: Final = 10.0
"""The same when the guardian itself is sent SIGTERM."""
_POLL: Final = 0.05
_NEVER: Final = float("inf")
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


class Guardian:
    """Runs one program and ends all that comes of it; `sent`: control that came together with the orders."""

    def __init__(self, control: int, orders: Orders, sent: bytes, clock: Callable[[], float]) -> None:
        self._control = [control]
        self._orders = orders
        self._sent = sent
        self._clock = clock
        self._kill_at = _NEVER if orders.until is None else orders.until
        self._terminated: set[int] | None = None
        self._program = 0
        self._status = int(signal.SIGKILL)
        linux = sys.platform == "linux"
        self._limits = Limits(orders.memory if linux else None, orders.cpu if linux else None, clock)

    def run(self, argv: list[str]) -> tuple[int, int, int]:
        """Run the program to its end and the end of all it started.

        Its process id, raw wait status, and how many bytes of memory were too much, or 0.
        """
        if self._clock() >= self._kill_at:
            return self._program, self._status, 0
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._terminate(TERM_GRACE))
        self._program = _fork(argv, self._orders)
        # Without these, the worker would see the end of the output only when the guardian ends.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        self._obey(b"")
        while self._collect():
            self._end_overdue()
            ready, _, _ = select.select([woken, *self._control], [], [], self._pause())
            if woken in ready:
                os.read(woken, 4096)
            if set(self._control).intersection(ready):
                self._listen()
        return self._program, self._status, self._limits.exceeded

    def _pause(self) -> float:
        if self._terminated is not None:
            return _POLL
        # Its own clock goes on during a suspension, the one that select counts by doesn't: so look once a second.
        return min(1.0, max(0.0, min(self._kill_at, self._limits.next) - self._clock()))

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
        if self._terminated is None:
            self._limits.look(_tree)
            if self._limits.exceeded:
                self._terminate(0.0)
        if self._clock() >= self._kill_at:
            self._terminate(0.0)
            kill_below(os.getpid())
        elif self._terminated is not None:
            new = [process for process in _tree() if process.pid not in self._terminated]
            send(signal.SIGTERM, new)
            # A stopped process takes the signal only when it goes on.
            send(signal.SIGCONT, new)
            self._terminated.update(process.pid for process in new)

    def _terminate(self, grace: float) -> None:
        self._kill_at = min(self._kill_at, self._clock() + grace)
        if self._terminated is None:
            self._terminated = set()

    def _listen(self) -> None:
        sent = os.read(self._control[0], 4096)
        if sent:
            self._obey(sent)
        else:
            self._control = []
            self._terminate(0.0)

    def _obey(self, sent: bytes) -> None:
        *lines, self._sent = (self._sent + sent).split(b"\n")
        for line in lines:
            verb, _, value = line.partition(b" ")
            if verb == b"stop":
                self._terminate(float(value))
            elif verb == b"live" and self._terminated is None:
                self._kill_at = float(value)


def _tree() -> list[Process]:
    return below(os.getpid())


def _fork(argv: list[str], orders: Orders) -> int:
    guardian = os.getpid()
    program = os.fork()
    if program == 0:
        try:
            _become(argv, orders, guardian)
        finally:
            os._exit(126)
    return program


def _become(argv: list[str], orders: Orders, guardian: int) -> NoReturn:
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guardian:
            os._exit(126)
        os.fchdir(orders.directory)
        os.dup2(orders.source, 0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(argv[0], argv, orders.environment)  # noqa: S606  running what it is told is its purpose
    except FileNotFoundError:
        _complain(f"{argv[0]}: not found")
        os._exit(127)
    except (OSError, ValueError) as error:
        _complain(f"{argv[0]}: {error.strerror if isinstance(error, OSError) else error}")
        os._exit(126)


def _complain(text: str) -> None:
    os.write(2, f"{text}\n".encode(errors="surrogateescape"))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  needed nowhere else

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main(argv: list[str]) -> None:
    """Run a program as the orders on standard input say."""
    order = received(0)
    if order is None:
        return
    orders, sent = order
    for fd in (orders.report, orders.directory, orders.source):
        os.set_inheritable(fd, False)  # noqa: FBT003  has no name
    if orders.lock is not None:
        os.write(orders.lock, f"{os.getpid()}\n".encode())
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid, status, exceeded = Guardian(0, orders, sent, boot_clock()).run(argv)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = max(exceeded, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    if orders.record is not None and sys.platform == "linux":
        # Elsewhere something may have got away, and who comes next has to look for it.
        with contextlib.suppress(OSError):
            os.unlink(orders.record)  # noqa: PTH108  starts faster
    os.write(orders.report, f"{pid} {status} {used.ru_utime + used.ru_stime:.6f} {peak} {exceeded}\n".encode())
