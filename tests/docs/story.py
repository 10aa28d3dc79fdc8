"""Does what a page says, block after block, as its reader would in one terminal."""

import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import psutil

from orchestrator import resources
from orchestrator.settings import load
from tests.acceptance.programs import PATIENCE_SECONDS, environment, serving
from tests.docs.agent import Agent
from tests.docs.blocks import Block
from tests.docs.stages import LATER, STAGES, install
from worker_client.runners.agent import settings

# What a block leaves to the next one: where it is, and its variables. One that goes on has a terminal of its own.
_LEAVE: Final = "trap 'code=$?; export -p > {state}/variables; pwd > {state}/place; exit $code' EXIT"
_SHELL: Final = """
[ -e {state}/variables ] && . {state}/variables; [ -e {state}/place ] && cd "$(cat {state}/place)"
set -aeuo pipefail
"""
_GITCONFIG: Final = "[user]\nname = Ada\nemail = ada@example.org\n"


class Story:
    """A folder that stands for the machine: `srv/shop` is a git repository, and where the reader is; the agent is a stand-in.

    `http://127.0.0.1:8080` and `/srv` of a page become this story's own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.shop = folder, folder / "srv/shop"
        (folder / "state").mkdir()
        self.shop.mkdir(parents=True)
        self.agent = Agent(folder / "home")
        (folder / "home/.gitconfig").write_text(_GITCONFIG)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = str(taken.getsockname()[1])
        programs = f"{folder / 'home/bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.variables = environment(**self.agent.variables | {"PATH": programs})
        self.variables |= {
            "ORCHESTRATOR_URL": f"http://127.0.0.1:{self.port}",
            "APP_SERVER_PORT": self.port,
            "STORY": str(folder),
        }
        (self.shop / "Makefile").write_text("test build clean:\n\t@echo $@: all well\n")
        for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
            subprocess.run(["git", *arguments], cwd=self.shop, env=self.variables, check=True)
        install(folder / "home/bin")
        (folder / "home/src").mkdir()
        (folder / "home/src/shop").symlink_to(self.shop)
        (folder / "home/.curlrc").write_text("fail-with-body\n")
        self.patience_seconds = 2 * PATIENCE_SECONDS
        self.places: dict[str, str] = {}
        self.texts: list[str] = []
        self._started: list[subprocess.Popen[str]] = []

    def here(self, text: str) -> str:
        """What a page says, with the addresses and directories of this story."""
        for shown, place in self.places.items():
            text = text.replace(shown, place)
        text = re.sub(r"(127\.0\.0\.1|localhost):8080", rf"\1:{self.port}", text)
        return re.sub(r"(?<![\w.])/srv\b", f"{self.folder}/srv", text)

    def play(self, block: Block) -> None:
        """Do what one block says; raises AssertionError with all that was printed."""
        text = self.here(block.text)
        match block.kind:
            case "run" | "check":
                self.ends(self._script(block, text), 0, str(block))
            case "exits":
                self.ends(self._script(block, text), int(block.detail), str(block))
            case "stopped":
                self.stop()
                self.ends(self._script(block, text), 0, str(block))
            case "background":
                self._start(block, text)
            case "file":
                file = self._place() / Path(self.here(block.detail)).expanduser()
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            case "send":
                self._send(block, text)
            case "agent":
                self.agent.does(text)
            case "settings":
                self._load(block, text)
            case "output" | "tested":
                pass
            case other:
                raise AssertionError(f"{block}: nothing says what to do with this block ({other!r}): see tests/docs/blocks.py")

    def stop(self) -> None:
        """What Ctrl-C does to all that the page has started."""
        ours = [process for process in psutil.process_iter() if self._has(process)]
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, left = psutil.wait_procs(ours, PATIENCE_SECONDS)
        for process in left:
            process.kill()
        for shell in self._started:
            shell.wait()
        self._started.clear()
        assert not left, left

    def _has(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return process.environ().get("STORY") == str(self.folder)
        return False

    def _place(self) -> Path:
        kept = self.folder / "state/place"
        return Path(kept.read_text().strip()) if kept.exists() else self.shop

    def _script(self, block: Block, text: str) -> str:
        if block.language == "python":
            (self.folder / "state/block.py").write_text(text, encoding="utf-8")
            return f"{shlex.quote(sys.executable)} {self.folder}/state/block.py"
        if block.language == "sql":
            return f"psql --quiet -v ON_ERROR_STOP=1 <<< {shlex.quote(text)}"
        return _typed(text) if block.language == "console" else text

    def ends(self, script: str, code: int, what: str = "afterwards") -> str:
        """Run a script in the reader's terminal, and return what it printed; raises AssertionError unless it ends with `code`."""
        ran = subprocess.run(
            ["bash", "-c", (_LEAVE + _SHELL).format(state=self.folder / "state") + script],
            cwd=self.shop,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.patience_seconds,
            check=False,
        )
        assert ran.returncode == code, f"{what}: exit code {ran.returncode}\n{script}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def _start(self, block: Block, text: str) -> None:
        printed = self.folder / f"state/{block.line}.log"
        script = _SHELL.format(state=self.folder / "state") + self._script(block, text)
        with printed.open("w") as log:
            shell = ["bash", "-c", script]
            process = subprocess.Popen(shell, cwd=self.shop, env=self.variables, stdout=log, stderr=log, text=True)
        self._started.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.here(block.detail) not in printed.read_text():
            assert process.poll() is None, f"{block}: it ended\n{printed.read_text()}"
            assert time.monotonic() < deadline, f"{block}: it never said {block.detail!r}\n{printed.read_text()}"
            time.sleep(0.02)

    def _load(self, block: Block, text: str) -> None:
        file = self.folder / "state/settings.toml"
        file.write_text(text, encoding="utf-8")
        if block.detail == "worker":
            settings.load(file)
        else:
            assert block.detail == "server", f"{block}: whose settings? (server, worker)"
            load([resources.config()], file=file)

    def _send(self, block: Block, text: str) -> None:
        method, path = block.detail.split()
        key = self.variables.get("ORCHESTRATOR_API_KEY")
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        url = self.variables["ORCHESTRATOR_URL"] + path
        answer = httpx.request(method, url, content=text, headers=headers, timeout=PATIENCE_SECONDS)
        assert answer.is_success, f"{block}: {answer.status_code} {answer.text}"


def _typed(text: str) -> str:
    """The commands of a console: what stands after `$ `, with the lines that continue it."""
    commands: list[str] = []
    goes_on = False
    for line in text.splitlines():
        if line.startswith("$ ") or goes_on:
            commands.append(line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "\n".join(commands) + "\n"


@contextlib.contextmanager
def told(folder: Path, stage: str) -> Iterator[Story]:
    """A story with what its page needs from the start."""
    story = Story(folder)
    what, *around = stage.split()
    with contextlib.ExitStack() as stack:
        for name in filter(STAGES.__contains__, around):
            stack.enter_context(STAGES[name](story))
        stack.callback(story.stop)
        if what in ("server", "worker"):
            more = ["--with-worker", str(story.shop)] if what == "worker" else []
            known = (*("PATH", "HOME", "ORCHESTRATOR_STATE_DIR"), *(name for name in story.variables if name.startswith("APP_")))
            variables = {name: story.variables[name] for name in known if name != "APP_SERVER_PORT"}
            stack.enter_context(serving(folder, "--port", story.port, *more, **variables))
        else:
            assert what == "bare", f"no such stage: {what}"
        for name in filter(LATER.__contains__, around):
            LATER[name](story)
        assert set(around) <= STAGES.keys() | LATER.keys(), f"no such stage: {stage}"
        yield story
