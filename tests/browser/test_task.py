"""The page of one task: its output as it comes, what can be done, and two people who look at it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.sites import Site
from tests.browser.tabs import Browse, Tab
from worker_client.contract.reports import Progress, TaskError
from worker_client.contract.tasks import ClaimedTask

HOSTILE = "</a><script>window.hacked = 1</script>\"'{{ 7 * 7 }}\u202e\x1b[31mred\x1b]0;title\x07 &amp; 中文"


@pytest.fixture
def running(site: Site, request: pytest.FixtureRequest) -> ClaimedTask:
    path = f"/of/{re.sub('[^a-z_]', '', request.node.name)}"
    site.client.create(work_directory=path, prompt="Mend the roof", title="Roof")
    task = site.client.claim(work_path=[path], worker_id="tester", wait=0)
    assert task is not None
    return task


def test_output_and_progress_appear_as_they_come(site: Site, tab: Tab, running: ClaimedTask) -> None:
    tab.open(f"/tasks/{running.id}")
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
    with tab.appearing("hammered 12 nails") as seen:
        site.client.append_logs(running.id, lease=running.lease, lines=["\x1b[32mhammered\x1b[0m 12 nails"])
    assert seen.ms < 1500
    with tab.appearing("half of it is done"):
        site.client.heartbeat(running.id, lease=running.lease, progress=Progress(percent=50, message="half of it is done"))
    with tab.appearing("Nobody gets wet any more") as seen:
        site.client.complete(running.id, lease=running.lease, result="Nobody gets wet any more")
    assert seen.ms < 1500
    expect(tab.page.get_by_role("button", name="Begin again")).to_be_visible()
    tab.accessible()
    tab.light()


def test_the_log_follows_its_end_unless_one_reads_above(site: Site, tab: Tab, running: ClaimedTask) -> None:
    site.client.append_logs(running.id, lease=running.lease, lines=[f"early {number}" for number in range(200)])
    tab.open(f"/tasks/{running.id}")
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
    log = tab.page.locator("#log-lines")
    at_end = "(box) => box.scrollHeight - box.scrollTop - box.clientHeight < 48"
    assert log.evaluate(at_end)
    with tab.appearing("later 29"):
        site.client.append_logs(running.id, lease=running.lease, lines=[f"later {number}" for number in range(30)])
    tab.page.wait_for_function(f"() => ({at_end})(document.getElementById('log-lines'))")
    log.evaluate("(box) => { box.scrollTop = 0; }")
    site.client.append_logs(running.id, lease=running.lease, lines=["unseen as yet"])
    expect(log).to_have_attribute("data-held", "")
    assert log.evaluate("(box) => box.scrollTop") == 0
    expect(tab.page.get_by_text("unseen as yet")).to_have_count(0)
    log.evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    expect(tab.page.get_by_text("unseen as yet")).to_be_visible()


def test_one_finds_a_line_and_can_point_at_it(site: Site, tab: Tab, running: ClaimedTask) -> None:
    lines = [f"line {number} {'needle' if number in {40, 900} else ''}" for number in range(1, 1201)]
    for start in (0, 600):
        site.client.append_logs(running.id, lease=running.lease, lines=list(lines[start : start + 600]))
    tab.open(f"/tasks/{running.id}")
    tab.page.get_by_label("Search the output").fill("NEEDLE")
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("mark")).to_have_count(1)
    expect(tab.page.get_by_text("2 lines")).to_be_visible()
    tab.page.get_by_role("link", name="Previous").click()
    expect(tab.page.locator("#L40.at")).to_be_in_viewport()
    tab.page.locator("#L41 a").click()
    expect(tab.page).to_have_url(re.compile(r"line=41#L41$"))
    expect(tab.page.locator("#L41.at")).to_be_in_viewport()
    tab.accessible()


def test_a_question_is_answered_and_a_task_changed_cancelled_and_begun_again(site: Site, tab: Tab, running: ClaimedTask) -> None:
    site.client.park(running.id, lease=running.lease, question="Slate or tile?", options=["Slate", "Tile"])
    tab.open(f"/tasks/{running.id}")
    tab.marked()
    tab.accessible()
    tab.page.get_by_role("button", name="Tile").click()
    expect(tab.page.get_by_text("has your answer")).to_be_visible()
    assert site.client.get(running.id).answer == "Tile"
    tab.page.get_by_text("Change title, priority or prompt").click()
    tab.page.get_by_label("Title").fill("A better roof")
    tab.page.get_by_label("Priority").select_option("urgent")
    tab.page.get_by_role("button", name="Save").click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("A better roof")
    assert site.client.get(running.id).priority == "urgent"
    tab.page.get_by_role("button", name="Cancel").click()
    tab.page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(tab.page.get_by_role("button", name="Begin again")).to_be_visible()
    tab.page.get_by_role("button", name="Begin again").click()
    expect(tab.page.get_by_role("button", name="Cancel")).to_be_visible()
    assert tab.same()


def test_hostile_texts_do_nothing(site: Site, tab: Tab, running: ClaimedTask) -> None:
    site.client.append_logs(running.id, lease=running.lease, lines=[HOSTILE, "x" * 60_000])
    error = TaskError(type=HOSTILE[:100], message=HOSTILE)
    site.client.fail(running.id, lease=running.lease, error=error, retryable=False, evidence={"argv": [HOSTILE]})
    tab.open(f"/tasks/{running.id}?find=script")
    expect(tab.page.get_by_text("window.hacked").first).to_be_visible()
    assert tab.page.evaluate("window.hacked") is None
    tab.accessible()
    tab.light()
    tab.fits()


def test_two_people_see_the_same_also_after_the_server_was_away(site: Site, browse: Browse, running: ClaimedTask) -> None:
    tabs = [browse(site.url), browse(site.url, phone=True, dark=True, language="zh-CN")]
    for tab in tabs:
        # The feed is gone for a while.
        tab.guard.allow("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|Failed to fetch|net::ERR")
        tab.open(f"/tasks/{running.id}")
        expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
        tab.marked()
    site.stop()
    site.start()
    site.client.complete(running.id, lease=running.lease, result="Dry at last")
    for tab in tabs:
        expect(tab.page.get_by_text("Dry at last")).to_be_visible()
        assert tab.same()
