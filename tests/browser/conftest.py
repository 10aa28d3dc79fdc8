"""Tests in a real browser: Chromium over a server that runs.

A test of a page goes into a module of its own here, and reads:

    def test_a_task_appears(site: Site, tab: Tab) -> None:
        tab.open("/tasks")
        with tab.appearing("Mend the roof") as seen:
            site.client.create(prompt="Mend the roof", work_directory="/house")
        assert seen.ms < 300
        tab.accessible()
        tab.light()

`site` is an empty server for the tests of a module, `tab` a page of it; `browse(site.url, dark=True, phone=True, ...)` opens
more. `scene` is a server on which thirty agents work on forty checkouts, with everything that pages show; `stage` the same for
a test that changes something; `crowd` one with 100,000 tasks.

Whatever a page does that none may (a message in its console, an exception, a breach of its policy, a request to elsewhere, a
failed one, an answer of 500 or more) fails the test at its end; `guard.allow("regular expression")` announces what is meant to
happen. `tab.page` is Playwright's page: its locators and `expect` wait by themselves, and nothing else should.

All tests here are marked `system`. Playwright has an event loop of its own in this thread: tests use the SDK's `Client`, and
processes, but neither anyio nor asyncio. They need Debian's packages that `.ci/run` names, and axe-core, which
`make .browser/.installed` brings.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.big import crowded
from tests.browser.guard import Guard
from tests.browser.scene import Scene, copied, playing
from tests.browser.sites import Site
from tests.browser.sites import site as running
from tests.browser.tabs import Browse, Tab

_HERE: Final = Path(__file__).parent
CHROMIUM: Final = Path("/usr/bin/chromium")
FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--font-render-hinting=none",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that is here."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("system")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module: a session's would have its event loop in the way of all other tests."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is not there: install Debian's packages that .ci/run names")
    environment: dict[str, str | float | bool] = {**os.environ, "FONTCONFIG_FILE": str(_HERE / "fonts.conf")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), env=environment)
        yield browser
        browser.close()


@pytest.fixture
def guard() -> Guard:
    """What watches the pages of a test; checked when they are closed."""
    return Guard()


@pytest.fixture
def browse(chromium: Browser, guard: Guard) -> Iterator[Browse]:
    """Opens tabs that the guard watches."""
    browse = Browse(chromium, guard)
    yield browse
    try:
        guard.check()
    finally:
        browse.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An empty server, open as there are no keys."""
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Thirty agents on forty checkouts, to be looked at by all tests: nobody changes anything there."""
    with playing(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


@pytest.fixture
def stage(scene: Scene, tmp_path: Path) -> Iterator[Scene]:
    """The same, for a test alone, which may do what it wants there."""
    with copied(scene, tmp_path / "stage") as stage:
        yield stage


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with 100,000 tasks."""
    with crowded(tmp_path_factory.mktemp("crowd"), 100_000) as site:
        yield site


@pytest.fixture
def tab(browse: Browse, site: Site) -> Tab:
    """A page of it."""
    return browse(site.url)
