"""What systemd is told by a service of Type=notify."""

import os
import socket
from pathlib import Path

import pytest

from orchestrator.http.supervised import Supervisor


def heard(by: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(by.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told_that_the_server_answers_lives_and_stops(tmp_path: Path, *, abstract: bool) -> None:
    name = f"@orchestrator-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        supervisor = Supervisor({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())})
        supervisor.ready("http://127.0.0.1:8080")
        assert heard(systemd) == ["READY=1\nSTATUS=Listening on http://127.0.0.1:8080"]
        for now in (10.0, 11.0, 11.9, 12.0, 13.9, 14.5):
            supervisor.alive(now)
        assert heard(systemd) == ["WATCHDOG=1"] * 3
        supervisor.stopping()
        (last,) = heard(systemd)
        assert last.startswith("STOPPING=1\n")


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "2"}, {"NOTIFY_SOCKET": "/nobody/listens/here", "WATCHDOG_USEC": "2"}])
def test_nobody_is_told_where_nobody_asked(environ: dict[str, str]) -> None:
    supervisor = Supervisor(environ)
    supervisor.ready("http://127.0.0.1:8080")
    supervisor.alive(1.0)
    supervisor.stopping()


def test_a_watchdog_of_another_process_is_not_fed(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
        systemd.bind(name)
        Supervisor({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2", "WATCHDOG_PID": "1"}).alive(1.0)
        assert heard(systemd) == []
