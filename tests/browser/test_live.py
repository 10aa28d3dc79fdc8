"""Pages that stay open: through restarts of the server, in several tabs, and in tabs that nobody looks at."""

import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from orchestrator.dashboard.routes import PAGES
from tests.browser.guard import Guard
from tests.browser.sites import Site
from tests.browser.sites import site as running
from tests.browser.tabs import Browse, Tab

AWAY = r"ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|ABORTED)|status(:| of) 503"


HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("own")) as site:
        yield site


def on(tab: Tab) -> None:
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")


def titles(tab: Tab) -> set[str]:
    return {text.strip() for text in tab.page.locator("main [data-open]").all_inner_texts()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_page_finds_the_server_again_and_has_missed_nothing(own: Site, browse: Browse, guard: Guard, number: int) -> None:
    guard.allow(AWAY)
    tab = browse(own.url)
    own.client.create(prompt="x", title="Before the break", work_directory="/here")
    tab.open("/tasks")
    on(tab)
    tab.marked()
    for time in range(3):
        own.stop(number)
        expect(tab.page.locator("#live")).to_have_attribute("data-state", "off")
        own.start()
        # What happens before the page is back, and what happens afterwards.
        own.client.create(prompt="x", title=f"In break {time}", work_directory="/here")
        on(tab)
        own.client.create(prompt="x", title=f"After break {time}", work_directory="/here")
        expect(tab.page.get_by_text(f"After break {time}", exact=True)).to_be_visible()
    wanted = {"Before the break", *(f"{when} break {time}" for time in range(3) for when in ("In", "After"))}
    expect(tab.page.get_by_text("In break 2", exact=True)).to_be_visible()
    assert wanted <= titles(tab)
    assert tab.same()


def test_two_tabs_show_the_same(site: Site, browse: Browse) -> None:
    first = browse(site.url)
    first.open("/tasks")
    second = browse.another(first)
    second.open("/")
    on(first)
    on(second)
    site.client.create(prompt="x", title="Seen by both", work_directory="/both", requires_approval=True)
    expect(first.page.get_by_text("Seen by both").first).to_be_visible()
    mine = second.page.locator("main").get_by_text("Seen by both").first
    expect(mine).to_be_visible()
    second.page.get_by_role("button", name="Approve").first.click()
    expect(first.page.locator("main tr", has_text="Seen by both").locator(".badge").first).to_have_text("waiting")


def test_a_tab_that_nobody_looks_at_does_not_listen(site: Site, browse: Browse) -> None:
    tab = browse(site.url)
    tab.open("/tasks")
    on(tab)
    tab.page.evaluate(HIDE, True)
    site.client.create(prompt="x", title="While nobody looked", work_directory="/hidden")
    # One who looks meanwhile has it, and this tab, asked last, has not.
    other = browse(site.url)
    other.open("/tasks")
    expect(other.page.get_by_text("While nobody looked")).to_be_visible()
    expect(tab.page.get_by_text("While nobody looked")).to_have_count(0)
    tab.page.evaluate(HIDE, False)
    expect(tab.page.get_by_text("While nobody looked")).to_be_visible()


PLAIN = [path for path in PAGES if "{" not in path and path not in {"/directory", "/command"}]


def test_pages_stay_quick_and_light_with_a_hundred_thousand_tasks(crowd: Site, browse: Browse) -> None:
    tab = browse(crowd.url)
    for path in PLAIN:
        assert tab.open(path).status == 200
        on(tab)
        tab.light()
    tab.open("/tasks?q=finished&status=completed")
    on(tab)
    tab.open("/tasks")
    with tab.appearing("One more than all these"):
        crowd.client.create(prompt="x", title="One more than all these", work_directory="/one/more")
