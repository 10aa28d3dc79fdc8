"""What a service manager is told that started this process and asked for it: systemd's `Type=notify` and `WatchdogSec=`."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_ABSTRACT: Final = "@"


class Supervisor:
    """Tells it over the socket that `environ` names; nobody is told where there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        given = environ.get("WATCHDOG_USEC", "") if meant else ""
        # Half of the time after which it would start this process anew.
        self._every = int(given) / 2_000_000 if given.isdecimal() else 0.0
        self._told_at = float("-inf")

    def ready(self, address: str) -> None:
        """The server answers."""
        self._tell(f"READY=1\nSTATUS=Listening on {address}")

    def stopping(self) -> None:
        """It is about to end."""
        self._tell("STOPPING=1\nSTATUS=Answering what is under way")

    def alive(self, now: float) -> None:
        """The event loop turns; `now` in seconds. Called more often than anybody wants to hear it."""
        if self._every and now - self._told_at >= self._every:
            self._told_at = now
            self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith(_ABSTRACT) else self._address
        # A supervisor that does not listen, or not now, is no reason to stop serving.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:
            to.sendto(state.encode(), address)
