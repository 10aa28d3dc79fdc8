"""`orchestrator watch` on a real terminal, that of tmux: what one sees there, does there, and finds there afterwards."""

import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.acceptance.programs import command, environment, until
from tests.browser.sites import Site, site
from worker_client.contract.enums import ParkReason, Status
from worker_client.contract.reports import Progress, Usage
from worker_client.contract.tasks import ClaimedTask

pytestmark = pytest.mark.system
PATIENCE_S: Final = 30
HOSTILE: Final = "\x1b[2J\x1b]0;gone\x07\x1b[31mred\u202e\nnew line \x9b5m中文字"


class Pane:
    """A terminal with a shell in it."""

    def __init__(self, folder: Path, url: str, width: int, height: int, **variables: str) -> None:
        self._socket = str(folder / "tmux")
        kept = environment(ORCHESTRATOR_URL=url, TERM="xterm-256color", **variables)
        for name in ("COLUMNS", "NO_COLOR", "ENV"):
            kept.pop(name, None)
        self._environment = {**kept, **variables}
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "sh")
        until(lambda: self.text().strip())

    def tmux(self, *arguments: str) -> str:
        line = ["tmux", "-u", "-S", self._socket, *arguments]
        return subprocess.run(line, env=self._environment, capture_output=True, text=True, check=True, timeout=60).stdout

    def watch(self, *arguments: str) -> None:
        self.type(shlex.join(command("watch", *arguments)))
        self.keys("Enter")

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def keys(self, *names: str) -> None:
        self.tmux("send-keys", *names)

    def text(self, *options: str) -> str:
        return self.tmux("capture-pane", "-p", *options)

    def until(self, *words: str) -> str:
        """What is shown once all these words are."""
        end = time.monotonic() + PATIENCE_S
        while not all(word in (shown := self.text()) for word in words):
            assert time.monotonic() < end, f"{words} are not all on the screen:\n{shown}"
            time.sleep(0.05)
        return shown

    @property
    def watching(self) -> psutil.Process:
        """The process that watches."""
        shell = psutil.Process(int(self.tmux("display-message", "-p", "#{pane_pid}")))
        return until(lambda: next((one for one in shell.children() if "watch" in one.cmdline()), None))

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "server") as server:
        yield server


@pytest.fixture
def pane(server: Site, tmp_path: Path) -> Iterator[Pane]:
    pane = Pane(tmp_path, server.url, 150, 40)
    yield pane
    pane.close()


def running(server: Site, path: str, title: str) -> ClaimedTask:
    server.client.create(work_directory=path, prompt=title, title=title)
    task = server.client.claim(work_path=[path], worker_id="atlas-1-claude", wait=0)
    assert task is not None
    return task


def test_one_sees_what_runs_what_waits_and_what_happens(server: Site, pane: Pane) -> None:
    client = server.client
    task = running(server, "/house", "Mend the roof")
    client.append_logs(task.id, lease=task.lease, lines=["a tile fell"])
    progress, usage = Progress(percent=40), Usage(cost_usd=1.25)
    client.heartbeat(task.id, lease=task.lease, progress=progress, usage=usage)
    client.create(work_directory="/garden", prompt="Cut the hedge")
    client.set_directory(work_directory="/garden", paused=True, reason="birds are breeding")
    pane.watch()
    pane.until("RUNNING  1", "Mend the roof", "40%", "atlas-1-claude", "$1.25", "a tile fell")
    pane.until("WAITING  1", "/garden", "birds are breeding")
    client.append_logs(task.id, lease=task.lease, lines=["another tile"])
    pane.until("another tile")
    client.complete(task.id, lease=task.lease)
    pane.until("LATEST", "completed", "1/h")


def test_one_answers_approves_cancels_and_retries(server: Site, pane: Pane) -> None:
    client = server.client
    asks = running(server, "/a", "Which table")
    client.park(asks.id, lease=asks.lease, reason=ParkReason.QUESTION, question="Which one?", options=["old", "new"])
    wants = client.create(work_directory="/b", prompt="Drop it", title="Drop it", requires_approval=True).id
    runs = running(server, "/c", "Run for ever")
    pane.watch()
    pane.until("NEEDS YOU  2", "Which one?", "Run for ever")
    pane.keys("/")
    pane.type("which")
    pane.keys("Enter")
    pane.until("filter: which")
    pane.keys("a")
    pane.until("1) old 2) new")
    pane.keys("2", "Enter")
    pane.until(f"task {asks.id} is answered")
    assert client.get(asks.id).answer == "new"
    pane.keys("Escape", "/")
    pane.type("drop")
    pane.keys("Enter", "a")
    pane.until(f"approve task {wants}? y/n")
    pane.keys("y")
    pane.until(f"task {wants} is approved")
    assert client.get(wants).status == Status.WAITING
    pane.keys("/", "C-u")
    pane.type("ever")
    pane.keys("Enter", "c")
    pane.until(f"cancel task {runs.id}? y/n")
    pane.keys("y")
    pane.until(f"task {runs.id} is cancelled")
    assert client.get(runs.id).cancel_requested_at is not None
    pane.keys("Enter")
    pane.until("OUTPUT", "directory /c")
    pane.keys("r")
    pane.until("only tasks that have ended")
    client.release(runs.id, lease=runs.lease)
    pane.until("status    cancelled")
    pane.keys("r")
    pane.until(f"task {runs.id} begins again")
    assert client.get(runs.id).status == Status.WAITING
    pane.keys("?")
    pane.until("its details and the end of its output")


def test_it_outlives_the_server(server: Site, pane: Pane) -> None:
    pane.watch()
    pane.until("nothing runs")
    server.stop(signal.SIGKILL)
    pane.until("no answer from")
    server.start()
    server.client.create(work_directory="/a", prompt="After the storm")
    shown = pane.until("After the storm", "created")
    assert "no answer" not in shown


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0), (None, 0)])
def test_the_terminal_is_as_it_was(tmp_path: Path, pane: Pane, number: signal.Signals | None, code: int) -> None:
    pane.type(f"cd {tmp_path}; stty -g > before; echo here")
    pane.keys("Enter")
    pane.until("\nhere")
    pane.watch()
    pane.until("q quit")
    if number is None:
        pane.keys("q")
    else:
        pane.watching.send_signal(number)
    pane.until("\nhere\n")
    pane.type("echo code $?; stty -g | diff - before && echo same; tput cols")
    pane.keys("Enter")
    pane.until(f"code {code}", "\nsame\n")
    assert pane.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}").split() == ["0", "1", "1"]


def test_it_is_stopped_and_goes_on(pane: Pane) -> None:
    pane.watch()
    pane.until("q quit")
    pane.keys("C-z")
    pane.until("Stopped")
    assert pane.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split() == ["0", "1"]
    pane.type("fg")
    pane.keys("Enter")
    pane.until("nothing runs", "q quit")
    pane.keys("q")
    pane.until("Stopped")


def test_texts_of_strangers_do_nothing(server: Site, pane: Pane) -> None:
    task = running(server, "/a", HOSTILE)
    server.client.append_logs(task.id, lease=task.lease, lines=["\x1b[2J\x1b[31mred\x9b5m output", "x" * 60_000])
    server.client.create(work_directory="/b/\u202egnp", prompt=HOSTILE)
    pane.watch()
    shown = pane.until("RUNNING  1", "red\ufffd new line", "WAITING  1", "xxxxxxxx")
    assert len(shown.splitlines()) <= 40
    pane.keys("Enter")
    pane.until("OUTPUT", "output")
    assert pane.tmux("display-message", "-p", "#{pane_title}").strip() != "gone"


@pytest.mark.parametrize(("width", "height"), [(40, 12), (20, 5), (10, 2)])
def test_a_small_terminal_shows_what_it_can(server: Site, tmp_path: Path, width: int, height: int) -> None:
    for number in range(30):
        running(server, f"/a/{number}", "Mend the roof of the house before the winter comes")
    pane = Pane(tmp_path, server.url, 80, 24)
    try:
        pane.watch()
        pane.until("RUNNING  30")
        pane.tmux("resize-window", "-x", str(width), "-y", str(height))
        until(lambda: len(pane.text().splitlines()) <= height and (height < 3 or "RUNNING  30"[: width - 1] in pane.text()))
        pane.keys("j", "j", "q")
        until(lambda: pane.tmux("display-message", "-p", "#{alternate_on}").strip() == "0")
    finally:
        pane.close()


@pytest.mark.parametrize("plain", [True, False])
def test_no_colour_is_heeded(server: Site, tmp_path: Path, plain: bool) -> None:
    running(server, "/a", "Mend the roof")
    pane = Pane(tmp_path, server.url, 100, 20, **({"NO_COLOR": "1"} if plain else {}))
    try:
        pane.watch()
        pane.until("Mend the roof", "q quit")
        coloured = re.findall(r"\x1b\[[0-9;]*\b(?:3[0-7]|9[0-7]|38;5;\d+)m", pane.text("-e"))
        assert bool(coloured) is not plain
    finally:
        pane.close()


def test_a_key_that_may_not_look_is_told_so(tmp_path: Path) -> None:
    key = "bootstrap-" * 4
    with site(tmp_path / "locked", APP_AUTH_MODE="required", APP_AUTH_BOOTSTRAP_KEY=key) as locked:
        pane = Pane(tmp_path, locked.url, 100, 20)
        try:
            pane.watch("--api-key", "wrong")
            pane.until("Error:")
            assert pane.tmux("display-message", "-p", "#{alternate_on}").strip() == "0"
        finally:
            pane.close()
