"""`pipx install` and `uv tool install` of the wheel give both commands. The two tools come from the index, all else from here."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
from release import archives, wheelhouse
from tests.installed import Installed, checkout

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """On a disk, for it is some hundred megabytes."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-pipx-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def house(folder: Path) -> Path:
    """With our wheel among the others, as an index would have it."""
    wheelhouse.fill(folder / "house")
    built = archives.build(checkout(folder / "checkout"), folder / "built")
    built.wheel.rename(folder / "house" / built.wheel.name)
    return folder / "house"


@pytest.fixture(scope="module")
def tools(folder: Path) -> Path:
    """The programs of pipx and uv."""
    environment = folder / "tools"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin/python", "-m", "pip", "-qq", "install", "--no-compile", "pipx", "uv"], check=True)
    return environment / "bin"


@pytest.mark.parametrize("line", [("pipx", "install"), ("uv", "tool", "install")], ids=["pipx", "uv"])
def test_both_commands_are_there(folder: Path, house: Path, tools: Path, line: tuple[str, ...]) -> None:
    home = folder / line[0]
    home.mkdir()
    own = {"HOME": str(home), "PIPX_HOME": f"{home}/pipx", "PIPX_BIN_DIR": f"{home}/bin", "UV_TOOL_BIN_DIR": f"{home}/bin"}
    own |= {"UV_TOOL_DIR": f"{home}/uv", "UV_CACHE_DIR": f"{home}/cache", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(house)}
    own |= {"UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "PIPX_DEFAULT_PYTHON": sys.executable}
    variables = {**wheelhouse.environment(house), **own}
    program, *arguments = line
    asked = [str(tools / program), *arguments, "task-orchestrator[server]"]
    ran = subprocess.run(asked, env=variables, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert sorted(path.name for path in (home / "bin").iterdir()) == ["orchestrator", "orchestrator-worker"]
    (environment,) = home.glob("pipx/venvs/task-orchestrator" if program == "pipx" else "uv/task-orchestrator")
    here = Installed(environment, home / "work")
    here.programs = home / "bin"
    assert here.says("orchestrator", "--version").split() == ["orchestrator", orchestrator.__version__]
    with here.serving() as url:
        task = here.json("add", "--command", "true", "--dir", ".", **url)
        here.says("orchestrator-worker", "run", "--dir", ".", "--once", **url)
        assert here.json("show", str(task["id"]), **url)["status"] == "completed"
