"""Now, Tasks and New task, used by a person: what happens elsewhere appears, and what is done there happens."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.sites import Site
from tests.browser.tabs import Browse, Tab

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31mred\x1b[0m{{ 7 * 7 }}"


def begun(site: Site, path: str, **facts: object) -> tuple[int, str]:
    site.client.create(work_directory=path, **{"prompt": "Do it", **facts})  # type: ignore[arg-type]
    task = site.client.claim(work_path=[path], worker_id="somebody", wait=0)
    assert task is not None
    return task.id, task.lease


@pytest.mark.parametrize("path", ["/tasks", "/"])
def test_what_happens_elsewhere_appears_soon(site: Site, tab: Tab, path: str) -> None:
    tab.open(path)
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
    soon = []
    for number in range(3):
        title = f"Mend roof {number} seen at {path}."
        with tab.appearing(title) as seen:
            site.client.create(prompt="x", title=title, work_directory=f"/houses{path}{number}")
        soon.append(seen.ms)
    assert min(soon) < 300


def test_output_and_progress_appear(site: Site, tab: Tab) -> None:
    task_id, lease = begun(site, "/output")
    tab.open("/")
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
    with tab.appearing("tests passed"):
        site.client.append_logs(task_id, lease=lease, lines=["16 tests passed"])
    site.client.complete(task_id, lease=lease)
    expect(tab.page.locator(f"#running-{task_id}")).to_have_count(0)


def test_a_question_is_answered_while_others_go_on(site: Site, tab: Tab) -> None:
    task_id, lease = begun(site, "/asks", title="Which one")
    site.client.park(task_id, lease=lease, question="Red or blue?", options=["red", "blue"])
    tab.open("/")
    tab.marked()
    mine = tab.page.locator(f"#asks-{task_id}")
    mine.get_by_label("Your answer").fill("neither, gre")
    # What is being typed outlives what happens meanwhile.
    with tab.appearing("Something else"):
        site.client.create(prompt="x", title="Something else", work_directory="/else")
    mine.get_by_label("Your answer").press_sequentially("en")
    expect(mine.get_by_label("Your answer")).to_have_value("neither, green")
    tab.accessible()
    mine.get_by_role("button", name="Answer").click()
    expect(mine).to_have_count(0)
    assert site.client.get(task_id).answer == "neither, green"
    assert tab.same()


def test_a_choice_an_approval_and_a_cancelling_are_one_click(site: Site, tab: Tab) -> None:
    asking, lease = begun(site, "/choice")
    site.client.park(asking, lease=lease, question="Red or blue?", options=["red", "blue"])
    waiting = site.client.create(prompt="x", work_directory="/approve", requires_approval=True).id
    running, _ = begun(site, "/cancel")
    tab.open("/")
    tab.page.locator(f"#asks-{asking}").get_by_role("button", name="blue").click()
    expect(tab.page.locator(f"#asks-{asking}")).to_have_count(0)
    tab.page.locator(f"#asks-{waiting}").get_by_role("button", name="Approve").click()
    expect(tab.page.locator(f"#asks-{waiting}")).to_have_count(0)
    tab.page.locator(f"#running-{running}").get_by_role("button", name="Cancel").click()
    tab.page.locator("#confirm").get_by_role("button", name="Yes").click()
    expect(tab.page.locator(f"#running-{running}")).to_contain_text("asked to stop")
    assert (site.client.get(asking).answer, site.client.get(waiting).status) == ("blue", "waiting")


def test_hostile_texts_are_texts(site: Site, browse: Browse) -> None:
    task_id, lease = begun(site, "/hostile", title=HOSTILE[:400], prompt=HOSTILE * 100, tags=['"><b>'])
    site.client.append_logs(task_id, lease=lease, lines=["y" * 60_000, HOSTILE])
    for path in ("/", "/tasks", f"/tasks/new?from={task_id}"):
        tab = browse(site.url, phone=True)
        tab.open(path)
        expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
        assert tab.page.locator("main script, main b").count() == 0
        tab.fits()
        tab.light()
    site.client.cancel(task_id)


def test_checked_tasks_are_changed_with_a_question_that_counts_them(site: Site, tab: Tab) -> None:
    made = [site.client.create(prompt="x", work_directory="/checked").id for _ in range(3)]
    tab.open("/tasks?work_path=/checked")
    for task_id in made[:2]:
        tab.page.locator(f"#task-{task_id} input").check()
    tab.page.get_by_role("button", name="Cancel", exact=True).click()
    expect(tab.page.locator("#confirm-question")).to_contain_text("(2)")
    tab.page.locator("#confirm").get_by_role("button", name="Yes").click()
    expect(tab.page.locator("#messages")).to_contain_text("2 tasks are cancelled.")
    expect(tab.page.locator(f"#task-{made[0]}")).to_contain_text("cancelled")
    expect(tab.page.locator("main input[type=checkbox]:checked")).to_have_count(0)
    assert [site.client.get(task_id).status for task_id in made] == ["cancelled", "cancelled", "waiting"]


def test_filters_are_chosen_and_taken_back(site: Site, tab: Tab) -> None:
    site.client.create(prompt="x", title="Found by its priority", work_directory="/filters", priority="urgent")  # type: ignore[arg-type]
    site.client.create(prompt="x", title="Another one", work_directory="/filters")
    tab.open("/tasks?work_path=/filters")
    tab.page.get_by_label("Priority").first.select_option("urgent")
    expect(tab.page).to_have_url(re.compile("priority=urgent"))
    expect(tab.page.get_by_text("Found by its priority")).to_be_visible()
    expect(tab.page.get_by_text("Another one")).to_have_count(0)
    tab.page.get_by_role("navigation", name="By status").get_by_role("link", name="completed").click()
    expect(tab.page.get_by_text("No task matches")).to_be_visible()
    tab.page.get_by_role("link", name="Show all tasks").first.click()
    expect(tab.page.get_by_text("Another one").first).to_be_visible()


def test_a_task_is_made_and_a_refusal_stands_at_its_field(site: Site, tab: Tab) -> None:
    tab.guard.allow(r"Failed to load resource: the server responded with a status of 400")
    tab.open("/tasks/new")
    tab.page.get_by_label("Directory", exact=True).fill("relative")
    tab.page.get_by_label("Prompt", exact=True).fill("Make it")
    tab.page.get_by_role("button", name="Create task").click()
    wrong = tab.page.get_by_label("Directory", exact=True)
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_be_focused()
    expect(tab.page.locator("#wrong-work_directory")).to_contain_text("relative")
    tab.accessible()
    wrong.fill("/made")
    tab.page.get_by_label("Create another one after this").check()
    tab.page.get_by_role("button", name="Create task").click()
    expect(tab.page.locator("#messages")).to_contain_text("is created.")
    expect(tab.page.get_by_label("Prompt", exact=True)).to_have_value("Make it")
    tab.page.get_by_label("Create another one after this").uncheck()
    tab.page.get_by_role("button", name="Create task").click()
    expect(tab.page).to_have_url(re.compile(r"/tasks/\d+$"))
    assert site.client.list(work_path=["/made"]).total == 2
