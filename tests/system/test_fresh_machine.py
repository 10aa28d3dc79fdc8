"""What a stranger does first, on a machine with Python, git and make alone."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.postgres import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 90

pytestmark = [pytest.mark.system, pytest.mark.timeout(4 * PATIENCE_SECONDS)]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    ours = ("APP_", "ORCHESTRATOR_", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    copy = tmp_path / "checkout"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def test_the_demo_installs_runs_and_ends(checkout: Path) -> None:
    (shown,) = (block.text for block in blocks(ROOT / "README.md") if "test_fresh_machine" in block.detail)
    assert shown == "make demo\n"
    started = time.monotonic()
    demo = run("make", "demo", "EXIT=1", cwd=checkout)
    took = time.monotonic() - started
    assert demo.returncode == 0, demo.stdout[-4000:] + demo.stderr[-4000:]
    assert "completed" in demo.stdout
    assert took < PATIENCE_SECONDS
    again = run("make", "install", cwd=checkout)
    assert "Nothing to be done" in again.stdout
    assert run(str(checkout / ".venv/bin/orchestrator"), "--version", cwd=checkout).returncode == 0
    serving = f"export APP_SERVER_PORT={free_port()}\nexec .venv/bin/orchestrator serve --with-worker ."
    with subprocess.Popen(
        ["bash", "-euc", serving], cwd=checkout, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as shell:
        assert shell.stdout is not None
        assert any("http://127.0.0.1" in line for line in shell.stdout)
        os.killpg(shell.pid, signal.SIGTERM)
    assert (checkout / "data/tasks.db").exists()
