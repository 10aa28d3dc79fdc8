"""That the harness notices what it is there for: a guard that never cries proves nothing."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.faulty import faulty_pages
from tests.browser.guard import Guard
from tests.browser.tabs import Browse, Tab


@pytest.fixture(scope="module")
def faulty() -> Iterator[str]:
    with faulty_pages() as address:
        yield address


@pytest.fixture
def tab(browse: Browse, faulty: str) -> Tab:
    return browse(faulty)


def cried(tab: Tab, *wanted: str) -> list[str]:
    """What the guard found once it found all that is wanted, in any order; forgotten thereby."""
    for _ in range(400):
        found = tab.guard.problems()
        if all(any(part in text for text in found) for part in wanted):
            break
        tab.page.wait_for_timeout(25)
    return tab.guard.forget()


def test_a_page_that_does_nothing_wrong_is_let_be(tab: Tab) -> None:
    tab.open("/fine")
    expect(tab.page.get_by_role("heading")).to_have_text("Fine")
    tab.guard.check()
    tab.accessible()
    tab.light()
    tab.fits()


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("error", "console: error: something is wrong"),
        ("warning", "console: warning: something may be wrong"),
        ("exception", "exception: TypeError: nobody caught it"),
        ("rejection", "exception: RangeError: nobody awaited it"),
        ("foreign", "foreign: GET http://elsewhere.example/spy"),
        ("broken", "status: 500 GET "),
        ("missing", "console: error: Failed to load resource: the server responded with a status of 404"),
        ("cut", "request: net::ERR_CONTENT_LENGTH_MISMATCH GET "),
        ("inline", "policy: script-src-elem inline"),
    ],
)
def test_what_no_page_may_do_is_noticed(tab: Tab, page: str, wanted: str) -> None:
    tab.open(f"/{page}")
    found = cried(tab, wanted)
    assert [text for text in found if wanted in text], found


def test_it_fails_the_test(tab: Tab) -> None:
    tab.open("/error")
    tab.page.wait_for_function("document.readyState === 'complete'")
    with pytest.raises(AssertionError, match="something is wrong"):
        tab.guard.check()
    tab.guard.forget()


def test_all_tabs_are_watched(browse: Browse, tab: Tab, faulty: str) -> None:
    tab.open("/fine")
    browse.another(tab).open("/error")
    browse(faulty, dark=True).open("/warning")
    assert len(cried(tab, "something is wrong", "something may be wrong")) == 2


def test_what_is_announced_is_no_problem(tab: Tab) -> None:
    tab.guard.allow(r"^console: error: something is wrong")
    tab.open("/error")
    tab.guard.check()
    tab.open("/warning")
    assert cried(tab, "may be wrong")


def test_a_request_that_the_page_ends_itself_is_no_problem(tab: Tab) -> None:
    tab.open("/aborted")
    tab.open("/fine")
    tab.guard.check()


def test_pages_keep_their_policy_while_rules_are_looked_at(tab: Tab, guard: Guard) -> None:
    tab.open("/unreachable")
    with pytest.raises(AssertionError) as broken:
        tab.accessible()
    assert "button-name (critical)" in str(broken.value)
    assert "image-alt (critical)" in str(broken.value)
    guard.check()
    tab.page.evaluate("() => document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    assert "policy: script-src-elem inline" in "\n".join(cried(tab, "policy"))
    assert tab.page.title() == "Faulty"


@pytest.mark.parametrize("page", ["heavy", "large"])
def test_what_weighs_too_much_is_noticed(tab: Tab, page: str) -> None:
    tab.open(f"/{page}")
    with pytest.raises(AssertionError, match=page):
        tab.light()


def test_a_page_too_wide_is_noticed(browse: Browse, faulty: str) -> None:
    tab = browse(faulty, phone=True)
    tab.open("/wide")
    with pytest.raises(AssertionError, match="390"):
        tab.fits()


def test_what_appears_is_waited_for(tab: Tab) -> None:
    tab.open("/late")
    tab.marked()
    with tab.appearing("Done at last") as seen:
        tab.page.locator("body").click()
    assert -50 < seen.ms < 20_000
    assert tab.same()
    tab.page.reload()
    assert not tab.same()


def test_each_tab_is_of_the_person_it_is_said_to_be(browse: Browse, faulty: str) -> None:
    facts = """() => [innerWidth, matchMedia("(prefers-color-scheme: dark)").matches,
        matchMedia("(prefers-reduced-motion: reduce)").matches, navigator.language, matchMedia("(pointer: coarse)").matches]"""
    plain, other = browse(faulty), browse(faulty, dark=True, phone=True, language="zh-CN", still=True)
    seen = []
    for tab in (plain, other):
        tab.page.goto(f"{faulty}/fine")
        seen.append(tab.page.evaluate(facts))
    assert seen[0] == [1280, False, False, "en", False]
    assert seen[1][1:] == [True, True, "zh-CN", True]
    bare = browse(faulty, script=False)
    bare.open("/fine")
    expect(bare.page.get_by_role("heading")).to_have_text("fine")
