"""Pages below a path of a site, through the nginx that is shipped, by TLS and with a key."""

import re
from pathlib import Path
from typing import Final

from playwright.sync_api import expect

from tests.browser.sites import site as running
from tests.browser.tabs import Browse
from tests.proxies import PREFIX, proxied
from worker_client.contract.reports import Progress

KEY: Final = "k" * 40
SERVER: Final = {
    "APP_SERVER_ROOT_PATH": PREFIX,
    "APP_SERVER_TRUSTED_PROXIES": "127.0.0.1",
    "APP_AUTH_MODE": "required",
    "APP_AUTH_BOOTSTRAP_KEY": KEY,
}


def test_one_works_below_a_path(browse: Browse, tmp_path: Path) -> None:
    with running(tmp_path, **SERVER) as site, proxied("nginx-below", tmp_path, site.url.removeprefix("http://")) as proxy:
        address = f"https://127.0.0.1:{proxy.port}{PREFIX}"
        tab = browse(address)
        tab.sign_in(KEY)
        tab.open("/tasks")
        with tab.appearing("Mend the roof") as seen:
            site.client.create(prompt="Mend the roof", work_directory="/house")
        assert seen.ms < 1000
        tab.page.get_by_role("link", name="Mend the roof").first.click()
        expect(tab.page).to_have_url(re.compile(re.escape(f"{address}/tasks/1")))
        with tab.appearing("Half done"):
            claimed = site.client.claim(work_path=["/house"], worker_id="w")
            assert claimed is not None
            site.client.heartbeat(claimed.id, lease=claimed.lease, progress=Progress(message="Half done"))
        for link in tab.page.get_by_role("navigation").first.get_by_role("link").all():
            assert (link.get_attribute("href") or "").startswith(f"{PREFIX}/")
        for place in ("/", "/directories", "/workers", "/schedules", "/workflows", "/costs", "/system"):
            assert tab.open(place).status == 200
            expect(tab.page.get_by_role("main")).to_be_visible()
        tab.light()
        tab.page.close()
