"""The scripts of docs/events.md, in pages."""

from pathlib import Path
from typing import Any

from tests.browser.sites import Site
from tests.browser.sites import site as running
from tests.browser.tabs import Browse, Tab
from tests.docs.blocks import ROOT, blocks

SOURCE, SOCKET = (block.text for block in blocks(ROOT / "docs/events.md") if block.language == "js")
KEY = "0123456789abcdef" * 2


def heard(tab: Tab, site: Site, script: str, opened: str) -> list[Any]:
    """What a script logs of one task that is created once it listens."""
    told: list[Any] = []
    tab.page.on("console", lambda message: told.append(message.args[0].json_value()))
    tab.page.evaluate(f"() => new Promise((ready) => {{ {script}\n{opened}.addEventListener('open', ready) }})")
    with tab.page.expect_console_message(lambda message: "task" in message.text):
        site.client.create(prompt="Mend the roof", work_directory="/srv/shop")
    return told


def test_a_page_hears_by_its_event_source(site: Site, tab: Tab) -> None:
    tab.open("/tasks")
    (event,) = heard(tab, site, SOURCE, "events")
    assert (event["type"], event["work_directory"]) == ("task.created", "/srv/shop")


def test_a_page_hears_over_a_socket_with_a_key(browse: Browse, tmp_path: Path) -> None:
    with running(tmp_path / "kept", APP_AUTH_BOOTSTRAP_KEY=KEY) as site:
        tab = browse(site.url)
        tab.open("/login")
        script = f"const key = '{KEY}';\n{SOCKET}".replace("wss://tasks.example.org", site.url.replace("http", "ws", 1))
        mark, message = heard(tab, site, script, "socket")
        assert mark["event"] == "mark"
        assert message["data"]["type"] == "task.created"
