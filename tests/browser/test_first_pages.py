"""The pages that need no dashboard: where one signs in, and the API."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.sites import Site
from tests.browser.sites import site as running
from tests.browser.tabs import Browse, Tab

KEY = "bootstrap-" * 4


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("locked"), APP_AUTH_MODE="required", APP_AUTH_BOOTSTRAP_KEY=KEY) as site:
        yield site


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("path", ["/login", "/schema"])
def test_each_is_accessible_and_light(browse: Browse, site: Site, path: str, phone: bool, dark: bool) -> None:
    tab = browse(site.url, dark=dark, phone=phone)
    tab.open(path)
    if path == "/schema":
        expect(tab.page.locator("#operations details").first).to_be_visible()
    tab.accessible()
    tab.fits()


def test_a_person_signs_in_and_out(browse: Browse, locked: Site) -> None:
    tab = browse(locked.url)
    tab.sign_in(KEY)
    tab.open("/login")
    expect(tab.page.get_by_text("Signed in as")).to_be_visible()
    tab.accessible()
    tab.light()
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.page.get_by_label("API key")).to_be_focused()


def test_a_wrong_key_is_told(browse: Browse, locked: Site) -> None:
    tab = browse(locked.url, dark=True)
    tab.guard.allow(r"Failed to load resource: the server responded with a status of 401 .*/login\)$")
    tab.sign_in("wrong")
    expect(tab.page.get_by_role("alert")).to_contain_text("key")
    tab.accessible()


def test_one_finds_and_opens_a_call_of_the_api(tab: Tab) -> None:
    tab.open("/schema")
    tab.page.get_by_label("Find").fill("heartbeat")
    found = tab.page.locator("#operations details:visible").filter(has_text="/heartbeat")
    found.first.locator("summary").click()
    expect(found.first.get_by_role("button", name="Send")).to_be_visible()
    tab.accessible()
