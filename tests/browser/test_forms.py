"""Forms on pages that are drawn anew while somebody is at them: nothing typed is lost, and nobody is overruled unseen."""

from playwright.sync_api import expect

from tests.browser.guard import Guard
from tests.browser.sites import Site
from tests.browser.tabs import Tab
from worker_client.contract.enums import Priority

CHOSEN = "tr.chosen"


def on(tab: Tab) -> None:
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")


def test_the_row_that_was_chosen_by_keys_stays_so(site: Site, tab: Tab) -> None:
    for number in range(3):
        site.client.create(prompt="x", title=f"Row {number}", work_directory="/rows")
    tab.open("/tasks?work_path=/rows")
    on(tab)
    tab.page.keyboard.press("j")
    tab.page.keyboard.press("j")
    expect(tab.page.locator(CHOSEN)).to_contain_text("Row 1")
    with tab.appearing("Row 3"):
        site.client.create(prompt="x", title="Row 3", work_directory="/rows")
    expect(tab.page.locator(CHOSEN)).to_contain_text("Row 1")
    tab.page.keyboard.press("x")
    expect(tab.page.locator(CHOSEN).get_by_role("checkbox")).to_be_checked()
    tab.page.keyboard.press("j")
    expect(tab.page.locator(CHOSEN)).to_contain_text("Row 0")


def test_what_was_asked_about_is_what_is_done(site: Site, tab: Tab) -> None:
    task = site.client.create(prompt="x", title="Asked about", work_directory="/asked").id
    tab.open("/tasks?work_path=/asked&status=waiting")
    on(tab)
    tab.page.get_by_label(f"Check task {task}").or_(tab.page.locator(f"#task-{task} input")).first.check()
    tab.page.locator("button[name=verb][value=cancel]").first.click()
    # A worker takes it while the question stands: it is no longer on the page.
    assert site.client.claim(work_path=["/asked"], worker_id="somebody", wait=0)
    expect(tab.page.locator(f"#task-{task}")).to_have_count(0)
    tab.page.locator("#confirm").get_by_role("button", name="Yes").click()
    expect(tab.page.locator("#messages .message")).to_have_count(1)
    assert site.client.get(task).cancel_requested_at is not None


def test_who_changes_a_task_overrules_nobody_unseen(site: Site, tab: Tab, guard: Guard) -> None:
    guard.allow("status of 409")
    task = site.client.create(prompt="First words", title="Old", work_directory="/change").id
    tab.open(f"/tasks/{task}")
    on(tab)
    tab.page.locator("#change summary").click()
    title, save = tab.page.locator("#change-title"), tab.page.locator("#change").get_by_role("button")
    title.fill("Mine")
    site.client.update(task, title="Theirs", priority=Priority.URGENT)
    # A field that nobody has touched shows what there is; what is being typed stays.
    expect(tab.page.locator("#change-priority")).to_have_value("urgent")
    expect(tab.page.locator("h1")).to_have_text("Theirs")
    expect(title).to_have_value("Mine")
    save.click()
    expect(tab.page.locator("#messages .bad")).to_have_count(1)
    assert site.client.get(task).title == "Theirs"
    expect(title).to_have_value("Mine")
    # Now they know, and mean it.
    version = str(site.client.get(task).version)
    expect(tab.page.locator("#change input[name=version]")).to_have_value(version)
    save.click()
    expect(tab.page.locator("h1")).to_have_text("Mine")
    assert (site.client.get(task).title, site.client.get(task).priority) == ("Mine", "urgent")
    # What was sent is typed no longer.
    site.client.update(task, title="Theirs again")
    expect(title).to_have_value("Theirs again")
    title.fill("And mine")
    save.click()
    expect(tab.page.locator("h1")).to_have_text("And mine")
