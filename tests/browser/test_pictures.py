"""Pictures of the pages, in light, dark and on a phone; `make pictures` puts them into the documentation."""

import os
import re
from pathlib import Path

import pytest

from tests.browser.pictures import FOLDER, LOOKS, MOST_BYTES, PICTURES, Picture, taken
from tests.browser.scene import Scene
from tests.browser.tabs import Browse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return FOLDER if os.environ.get("PICTURES") else tmp_path


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_page_is_taken(browse: Browse, scene: Scene, folder: Path, picture: Picture, look: str) -> None:
    tab = browse(scene.url, dark=look == "dark", phone=look == "phone", still=True, sharp=look == "phone")
    tab.open(picture.path.format(**scene.tasks, **{f"run_{name}": run for name, run in scene.runs.items()}, **scene.workflows))
    tab.page.locator(picture.ready).first.wait_for()
    file = folder / f"{picture.name}-{look}.png"
    taken(tab, file)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert 3_000 < file.stat().st_size < MOST_BYTES, "blank, or too large"


def test_the_documentation_shows_what_is_taken() -> None:
    wanted = {f"{picture.name}-{look}.png" for picture in PICTURES for look in LOOKS}
    there = {file.name for file in FOLDER.glob("*")}
    pages = "".join(page.read_text(encoding="utf-8") for page in (*FOLDER.parent.glob("*.md"), FOLDER.parents[1] / "README.md"))
    shown = set(re.findall(r"pictures/([\w-]+\.png)", pages))
    assert there - wanted == set(), "nobody takes these any more"
    assert shown - there == set(), "run `make pictures`"
