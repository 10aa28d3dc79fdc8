"""The page of costs: what tags cost, and that it grows while one looks."""

import re

from playwright.sync_api import expect

from tests.browser.scene import Scene
from tests.browser.sites import Site
from tests.browser.tabs import Browse, Tab
from worker_client.contract.reports import Usage
from worker_client.contract.usage import UsageBy, UsageSort


def test_a_tag_leads_to_what_it_cost_and_where(browse: Browse, scene: Scene) -> None:
    (dearest,) = scene.client.usage(by=[UsageBy.TAG], sort=UsageSort.COST, limit=1).items
    assert dearest.tag is not None
    tab = browse(scene.url)
    tab.open("/costs")
    table = tab.page.get_by_role("region", name="By tag")
    first = table.get_by_role("row").nth(1)
    expect(first).to_contain_text(f"${dearest.cost_usd:,.2f}")
    for name in ("By directory", "By model", "By agent"):
        expect(tab.page.get_by_role("region", name=name)).to_be_visible()
    first.get_by_role("link", name=dearest.tag, exact=True).press("Enter")
    expect(tab.page.get_by_label("Tag", exact=True)).to_have_value(dearest.tag)
    expect(tab.page.get_by_role("region", name="By model")).to_have_count(0)
    expect(tab.page.locator(".figure").first).to_contain_text(f"${dearest.cost_usd:,.2f}")
    tab.accessible()


def test_a_year_is_light_and_fits_on_a_phone(browse: Browse, scene: Scene) -> None:
    tab = browse(scene.url, phone=True, dark=True)
    tab.open("/costs")
    tab.page.get_by_label("Period").select_option("365")
    tab.page.get_by_role("button", name="Show").click()
    expect(tab.page).to_have_url(re.compile("days=365"))
    expect(tab.page.get_by_role("heading", name="Dollars by week")).to_be_visible()
    tab.accessible()
    tab.light()
    tab.fits()


def test_what_is_used_is_there_while_one_looks(site: Site, tab: Tab) -> None:
    tab.open("/costs")
    expect(tab.page.get_by_text("Nothing was used").first).to_be_visible()
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
    client = site.client
    client.create(prompt="Paint the fence", work_directory="/garden", tags=["spring <b>"])
    task = client.claim(work_path=["/garden"], worker_id="w", wait=0)
    assert task is not None
    client.complete(task.id, lease=task.lease, usage=Usage(input_tokens=1_000, cost_usd=3.5))
    table = tab.page.get_by_role("region", name="By tag")
    expect(table.get_by_role("row").nth(1)).to_contain_text("spring <b>")
    expect(table.get_by_role("row").nth(1)).to_contain_text("$3.50")
    tab.accessible()
