"""Pictures of pages for the documentation, as small as their colours allow."""

import subprocess
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.browser.tabs import Tab

FOLDER: Final = Path(__file__).parents[2] / "docs/pictures"
MOST_BYTES: Final = 150_000
LOOKS: Final = ("light", "dark", "phone")


class Picture(Struct, frozen=True):
    """A page to be shown: its name, its path with the names of the scene's tasks, and what must be on it before."""

    name: str
    path: str
    ready: str


PICTURES: Final = (
    Picture("now", "/", "main"),
    Picture("tasks", "/tasks", "main"),
    Picture("task", "/tasks/{failed}", "main"),
    Picture("run", "/runs/{run_running}", "main"),
    Picture("schedules", "/schedules", "main"),
    Picture("costs", "/costs", "main"),
)


def taken(tab: Tab, file: Path) -> None:
    """Take a picture of what one sees of a page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tab.page.screenshot(path=file, animations="disabled", caret="hide")
    line = ["pngquant", "--force", "--skip-if-larger", "--strip", "--quality", "60-95", "--output", str(file), str(file)]
    # 98 and 99: it would be larger, or look worse, and stays as it is.
    assert subprocess.run(line, check=False, timeout=60).returncode in {0, 98, 99}
