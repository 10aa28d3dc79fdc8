"""The pages of docs as a site: built, served as files, they ask no other host, and one finds what one looks for."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from tests.browser.tabs import Browse

ROOT: Final = Path(__file__).parents[2]
LOOKED_AT: Final = (
    "index.html",
    "agents.html",
    "howto/worktrees.html",
    "reference/api/work.html",
    "repository/CONTRIBUTING.html",
)


class Files(SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True, timeout=120)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
def test_pages_ask_no_other_host_and_fit(browse: Browse, built: str, dark: bool, phone: bool) -> None:
    tab = browse(built, dark=dark, phone=phone)
    for page in LOOKED_AT:
        assert tab.open(f"/{page}").ok, page
        expect(tab.page.locator("h1")).to_be_visible()
        tab.fits()
    background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark, background


def test_one_finds_a_setting(browse: Browse, built: str) -> None:
    tab = browse(built)
    tab.open("/index.html")
    tab.page.get_by_placeholder("Search").fill("max_task_retries")
    tab.page.locator(".md-search-result__link[href*='reference/settings.html']").first.click()
    expect(tab.page.get_by_text("APP_TASK_MAX_TASK_RETRIES")).to_be_visible()


def test_a_link_out_of_docs_leads_to_the_file(browse: Browse, built: str) -> None:
    tab = browse(built)
    tab.open("/workers.html")
    unit = tab.page.get_by_role("link", name="config/orchestrator-worker.service").first
    assert tab.page.request.get(f"{built}/{unit.get_attribute('href')}").text().startswith("#")
