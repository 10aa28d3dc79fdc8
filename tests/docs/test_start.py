"""docs/start.md and the beginning of README.md, done by somebody who has nothing but the page, on a new machine with an agent."""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from release import archives, wheelhouse
from tests.docs.blocks import ROOT, Block, blocks
from tests.docs.story import Story
from tests.installed import checkout

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PAGE: Final = list(blocks(ROOT / "docs/start.md"))
INSTALLS: Final = [block for block in PAGE if re.search(r"pipx? install|uv tool install", block.text)]
LOOK: Final = re.compile(r"orchestrator (show|logs|list)\b|cat ")
STEPS: Final = [
    block
    for block in PAGE
    if block.kind in ("run", "background") and not all(LOOK.match(line) for line in block.text.splitlines())
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-start-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def house(folder: Path) -> Path:
    """What an index would have."""
    wheelhouse.fill(folder / "house")
    built = archives.build(checkout(folder / "checkout"), folder / "checkout")
    shutil.move(built.wheel, folder / "house")
    return folder / "house"


@pytest.fixture(scope="module")
def tools(folder: Path) -> Path:
    """Those that install programs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "tools")], check=True)
    subprocess.run([folder / "tools/bin/pip", "-qq", "install", "pipx", "uv"], check=True)
    return folder / "tools/bin"


@contextlib.contextmanager
def machine(folder: Path, house: Path, tools: Path, installed: Path | None = None) -> Iterator[Story]:
    """A new one; `installed`: a folder of programs that somebody has installed before."""
    folder.mkdir()
    story = Story(folder)
    programs, story.shop = folder / "programs", folder / "new"
    for made in (programs, story.shop):
        made.mkdir()
    for name, program in {
        "claude": folder / "home/bin/claude",
        "python3": Path(sys.executable).resolve(),
        "pipx": tools / "pipx",
        "uv": tools / "uv",
    }.items():
        (programs / name).symlink_to(program)
    story.variables = wheelhouse.environment(house) | {
        name: story.variables[name] for name in ("APP_SERVER_PORT", "ORCHESTRATOR_URL", "STORY", "NO_COLOR", "COLUMNS")
    }
    local = installed or story.shop / ".local/bin"
    story.variables |= {"HOME": str(story.shop), "PATH": f"{local}:{programs}:/usr/local/bin:/usr/bin:/bin"}
    story.variables |= {"UV_FIND_LINKS": str(house), "UV_NO_INDEX": "1", "UV_CACHE_DIR": str(folder / "cache")}
    try:
        yield story
    finally:
        story.stop()


def tell(story: Story, page: Iterable[Block]) -> None:
    for block in page:
        story.play(block)


@pytest.fixture(scope="module")
def told(folder: Path, house: Path, tools: Path) -> Path:
    """The page has been followed; the programs that were installed by it."""
    with machine(folder / "told", house, tools) as story:
        tell(story, PAGE)
        return story.shop / ".local/bin"


def test_nothing_but_the_page_leads_to_a_finished_task(told: Path) -> None:
    assert {"orchestrator", "orchestrator-worker"} <= {program.name for program in told.iterdir()}


@pytest.mark.parametrize("dropped", STEPS, ids=str)
def test_no_step_is_too_much(folder: Path, house: Path, tools: Path, told: Path, dropped: Block) -> None:
    installing = dropped is INSTALLS[0]
    rest = [block for block in PAGE if block is not dropped and block is not INSTALLS[0]]
    with machine(folder / f"without{dropped.line}", house, tools, None if installing else told) as story:
        story.patience_seconds = 10
        with pytest.raises((AssertionError, subprocess.TimeoutExpired)):
            tell(story, rest)


@pytest.mark.parametrize("block", INSTALLS[1:], ids=str)
def test_the_other_ways_to_install_it_give_both_commands(folder: Path, house: Path, tools: Path, block: Block) -> None:
    with machine(folder / f"other{block.line}", house, tools) as story:
        story.ends(
            story.here(block.text) + "orchestrator --version; orchestrator-worker --help >help; orchestrator openapi >api",
            0,
            str(block),
        )


def test_the_first_screen_of_the_readme_leads_there_too(folder: Path, house: Path, tools: Path) -> None:
    first, second = (block.text for block in blocks(ROOT / "README.md") if block.detail == "tests/docs/test_start.py")
    with machine(folder / "readme", house, tools) as story:
        (story.shop / "src/shop").mkdir(parents=True)
        (story.shop / "src/shop/Makefile").write_text("test:\n")
        install, serve = first.splitlines()
        story.ends(install, 0, "README.md")
        background = Block(ROOT / "README.md", 0, "sh", "background", "for agent tasks in", f"cd\n{serve}\n")
        story.play(background)
        story.ends(second + "orchestrator show 1 --json | jq -e '.status == \"completed\"'", 0, "README.md")
