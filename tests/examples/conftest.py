"""A server for the programs in examples/, which run as their users run them."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.programs import PATIENCE_SECONDS, ROOT, Server, end, environment, serving

EXAMPLES: Final = ROOT / "examples"


class Stage:
    """A server, a directory to work in, and programs that talk to the one about the other."""

    def __init__(self, server: Server, shop: Path) -> None:
        self.server, self.shop = server, str(shop)
        self.variables = environment(**server.variables, ORCHESTRATOR_STATE_DIR=str(server.folder / "state"))

    def command(self, name: str, *arguments: str) -> list[str]:
        program = EXAMPLES / name
        return [*([sys.executable] if program.suffix == ".py" else []), str(program), *arguments]

    def run(self, name: str, *arguments: str, code: int = 0, **variables: str) -> str:
        """An example to its end; what it printed."""
        ran = subprocess.run(
            self.command(name, *arguments), env=self.variables | variables, cwd=self.shop, capture_output=True, text=True,
            timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout

    @contextlib.contextmanager
    def running(self, name: str, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
        """An example that goes on; it ends well on SIGTERM, unless it was killed before."""
        log = Path(self.server.folder / f"{Path(name).stem}.log")
        with log.open("w") as file:
            process = subprocess.Popen(
                self.command(name, *arguments), env=self.variables | variables, cwd=self.shop, stdout=file, stderr=file, text=True
            )
            try:
                yield process
            except BaseException as error:
                process.kill()
                process.wait()
                error.add_note(log.read_text())
                raise
            assert end(process) in {0, -signal.SIGTERM, -signal.SIGKILL}, log.read_text()

    def worked(self, **fields: Any) -> Any:
        """A task once it has ended."""
        from worker_client import Client  # noqa: PLC0415 - the variables are this stage's

        with Client(self.server.url) as client:
            task = client.create(work_directory=self.shop, **fields)
            return client.wait(task.id, within=PATIENCE_SECONDS)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    shop = tmp_path / "shop"
    shop.mkdir()
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada"}
        git = environment(**who, GIT_COMMITTER_EMAIL="ada@example.org")
        subprocess.run(["git", *arguments], cwd=shop, env=git, check=True)
    more = {"APP_GITHUB_WEBHOOK_SECRET": "s3cret"}
    with serving(tmp_path, **more) as server:
        yield Stage(server, shop)
