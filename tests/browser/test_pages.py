"""Every page of the dashboard, in every look: whole, accessible, light, and no wider than what it is shown on."""

import re
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from orchestrator.dashboard.routes import PAGES
from tests.browser.scene import Scene
from tests.browser.tabs import Browse

LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {},
    "dark phone": {"dark": True, "phone": True},
    "chinese": {"language": "zh-CN", "dark": True},
}
QUERIES: Final = {"/command": "?name=review", "/directory": "?path=" + quote("/home/mei/storefront")}
"""What some pages cannot do without."""


def address(scene: Scene, path: str) -> str:
    """A page of the scene at the path of a route."""
    known = {
        "task_id": scene.tasks["failed"],
        "schedule_id": scene.schedules["deps"],
        "workflow_id": next(iter(scene.workflows.values())),
        "run_id": next(iter(scene.runs.values())),
    }
    return re.sub(r"{(\w+)}", lambda found: str(known[found[1]]), path) + QUERIES.get(path, "")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_fit_to_be_seen(browse: Browse, scene: Scene, path: str, look: str) -> None:
    tab = browse(scene.url, **LOOKS[look])
    response = tab.open(address(scene, path))
    assert response.status == 200
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
    tab.accessible()
    tab.light()
    tab.fits()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_of_use_without_scripts(browse: Browse, scene: Scene, path: str) -> None:
    tab = browse(scene.url, script=False, phone=True)
    assert tab.open(address(scene, path)).status == 200
    expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
    tab.page.locator("#menu summary").click()
    expect(tab.page.locator("#menu nav a").first).to_be_visible()
