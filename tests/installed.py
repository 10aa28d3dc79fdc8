"""The program as somebody has it who installed it from its wheel: an environment and a folder of its own, and no checkout."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from release import archives, wheelhouse
from tests.acceptance.programs import ADDRESS, ROOT, end

PATIENCE_SECONDS: Final = 60


def checkout(folder: Path) -> Path:
    """A git checkout of what stands here, committed or not."""
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit all that is there."""
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-q", "-m", "All")


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def older(source: Path, out: Path, version: str) -> Path:
    """A wheel of another version, with a module that there is no more; `source`: a checkout that may be changed."""
    text = source / "orchestrator/__init__.py"
    text.write_text(re.sub(r'__version__ = ".+"', f'__version__ = "{version}"', text.read_text()))
    (source / "orchestrator/gone.py").write_text("")
    return archives.build(source, out).wheel


class Installed:
    """An environment; what is started in it is started in `folder`."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.programs = environment / "bin"
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.packages,) = environment.glob("lib/python*/site-packages")

    def variables(self, **more: str) -> dict[str, str]:
        """Of a home of its own, with nothing of ours."""
        home, path = str(self.folder), f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        own = {"HOME": home, "TMPDIR": home, "XDG_STATE_HOME": f"{home}/state", "PATH": path, "NO_COLOR": "1", "COLUMNS": "120"}
        return {**wheelhouse.environment(), **own, **more}

    def run(self, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs to its end."""
        return subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def says(self, program: str, *arguments: str, **variables: str) -> str:
        """What it prints; it has to go well."""
        ran = self.run(program, *arguments, **variables)
        assert ran.returncode == 0, f"{program} {arguments}: {ran.stdout[-3000:]}{ran.stderr[-3000:]}"
        return ran.stdout

    def json(self, *arguments: str, **variables: str) -> Any:
        """What `orchestrator` prints with --json."""
        return json.loads(self.says("orchestrator", *arguments, "--json", **variables))

    def names(self) -> dict[str, str]:
        """What is installed, with versions."""
        return dict(path.name.removesuffix(".dist-info").split("-", 1) for path in self.packages.glob("*.dist-info"))

    def megabytes(self) -> float:
        """All of it."""
        return sum(path.stat().st_size for path in self.packages.rglob("*") if path.is_file()) / 1e6

    def files(self) -> dict[str, str]:
        """Of ours, with their hashes; without what tells who installed them, and from where."""
        (record,) = self.packages.glob("task_orchestrator-*/RECORD")
        rows = (line.split(",")[:2] for line in record.read_text().splitlines())
        told = ("/direct_url.json", "/INSTALLER", "/RECORD", "/REQUESTED", ".pyc")
        return {name: digest for name, digest in rows if not name.startswith("..") and not name.endswith(told)}

    def checked(self) -> str:
        """What pip has against what is installed."""
        line = [sys.executable, "-m", "pip", "--python", str(self.programs / "python"), "check"]
        return subprocess.run(line, capture_output=True, text=True, check=False, env=wheelhouse.environment()).stdout.strip()

    @contextlib.contextmanager
    def serving(self, *arguments: str, **variables: str) -> Iterator[dict[str, str]]:
        """A server; the variables of its clients."""
        line = [str(self.programs / "orchestrator"), "serve", "--port", "0", *arguments]
        log = self.folder / "server.log"
        with (
            log.open("w") as told,
            subprocess.Popen(
                line, cwd=self.folder, env=self.variables(**variables), stdout=subprocess.PIPE, stderr=told, text=True
            ) as process,
        ):
            assert process.stdout is not None
            try:
                found = ADDRESS.search(process.stdout.readline())
                assert found, log.read_text()
                yield {"ORCHESTRATOR_URL": found[0]}
            finally:
                end(process)
