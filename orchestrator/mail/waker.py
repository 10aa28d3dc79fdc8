"""Wakes a thread that waits for a mail server."""

import select
import socket
from contextlib import suppress


class Waker:
    """A bell that can be waited for together with sockets."""

    def __init__(self) -> None:
        self.heard, self._rung = socket.socketpair()
        self.heard.settimeout(0)
        self._rung.settimeout(0)

    def ring(self) -> None:
        """Wake whoever waits, now or the next time."""
        # Full, or closed: then it has been rung, or nobody waits any more.
        with suppress(OSError):
            self._rung.send(b"\0")

    def wait(self, seconds: float) -> None:
        """Wait until it rings, or the time is over."""
        select.select([self.heard], [], [], seconds)

    def hush(self) -> None:
        """Take all ringing so far as heard."""
        with suppress(BlockingIOError):
            while self.heard.recv(1024):
                pass

    def close(self) -> None:
        """Give it back to the system."""
        self.heard.close()
        self._rung.close()
