"""A page in a browser, as a test uses it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct
from playwright.sync_api import Browser, BrowserContext, Page, Response

from tests.browser.accessibility import broken_rules
from tests.browser.guard import Guard

DESKTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
MOST_PAGE: Final = 100_000
MOST_SCRIPTS: Final = 30_000
_PATIENCE_MS: Final = 20_000
_SHOWN: Final = 12
_LOADED: Final = """() => performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource")).map(
    (one) => ({url: one.name, transferred: one.transferSize, size: one.decodedBodySize}))"""
_WATCH: Final = """([text, patience]) => {
    window.__appeared = new Promise((found, failed) => {
        const look = () => {
            if (!document.body.textContent.includes(text)) return;
            watcher.disconnect();
            found(Date.now());
        };
        const watcher = new MutationObserver(look);
        watcher.observe(document.body, {childList: true, subtree: true, characterData: true});
        setTimeout(() => failed(new Error(`${text} did not appear`)), patience);
        look();
    });
    window.__appeared.catch(() => {});
}"""


class Loaded(Struct, frozen=True):
    """A file that a page is made of: bytes over the wire with headers (0 from the cache), and bytes of its text."""

    url: str
    transferred: int
    size: int


class Seen:
    """When something appeared: milliseconds after the block that made it; less than 0 when even before its end."""

    ms: float


class Tab:
    """A page, with what tests ask of all pages; `page` is Playwright's, for all else."""

    def __init__(self, page: Page, guard: Guard, address: str) -> None:
        self.page = page
        self.guard = guard
        self.address = address

    def open(self, path: str) -> Response:
        """Go to a page of the server, until it is loaded."""
        response = self.page.goto(f"{self.address}{path}")
        assert response is not None
        return response

    def sign_in(self, key: str) -> None:
        """Open a session with a key, as a person does."""
        self.open("/login")
        self.page.get_by_label("API key").fill(key)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def accessible(self) -> None:
        """Fail when the page as it is now breaks a rule of accessibility."""
        if broken := broken_rules(self.page):
            first = "\n  ".join(broken[:_SHOWN])
            raise AssertionError(f"{self.page.url} breaks rules of accessibility at {len(broken)} places:\n  {first}")

    def loaded(self) -> list[Loaded]:
        """All files that the page was made of so far; streams that go on are none."""
        return [Loaded(**one) for one in self.page.evaluate(_LOADED)]

    def light(self) -> None:
        """Fail when the page weighs too much, or its scripts do as they are written."""
        loaded = self.loaded()
        sizes = "\n  ".join(f"{one.transferred:>7} of {one.size:>7} {one.url}" for one in loaded)
        assert sum(one.transferred for one in loaded) < MOST_PAGE, sizes
        assert sum(one.size for one in loaded if one.url.partition("?")[0].endswith(".js")) < MOST_SCRIPTS, sizes

    def fits(self) -> None:
        """Fail when one would have to scroll the whole page sideways."""
        wide, room = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= room, f"{self.page.url} is {wide} pixels wide, and has {room}"

    @contextmanager
    def appearing(self, text: str) -> Iterator[Seen]:
        """Fail unless a text appears that the block makes, without loading the page anew; `seen.ms` tells how soon.

        The text must not be on the page before.
        """
        assert text not in (self.page.text_content("body") or ""), f"{text} is there already"
        self.page.evaluate(_WATCH, [text, _PATIENCE_MS])
        seen = Seen()
        yield seen
        done = time.time() * 1000
        seen.ms = self.page.evaluate("window.__appeared") - done

    def marked(self) -> None:
        """Remember this very document, for `same`."""
        self.page.evaluate("() => { window.__marked = true }")

    def same(self) -> bool:
        """Whether the page was not loaded anew since `marked`."""
        return bool(self.page.evaluate("window.__marked === true"))


class Browse:
    """Opens tabs, each with a context of its own: nothing is shared with other tabs but the server."""

    def __init__(self, browser: Browser, guard: Guard) -> None:
        self._browser = browser
        self._guard = guard
        self._contexts: list[BrowserContext] = []

    def __call__(
        self,
        address: str,
        *,
        dark: bool = False,
        phone: bool = False,
        language: str = "en",
        still: bool = False,
        script: bool = True,
        sharp: bool = False,
    ) -> Tab:
        """A new tab; `still`: of somebody who wants no motion; `script`: whether scripts run; `sharp`: two pixels for one."""
        width, height = PHONE if phone else DESKTOP
        options: dict[str, Any] = {"is_mobile": True, "has_touch": True} if phone else {}
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
            locale=language,
            timezone_id="UTC",
            java_script_enabled=script,
            device_scale_factor=2 if sharp else 1,
            # Certificates here are a test's own.
            ignore_https_errors=True,
            **options,
        )
        self._contexts.append(context)
        self._guard.own(address)
        self._guard.watch(context, script=script)
        return Tab(context.new_page(), self._guard, address)

    def another(self, tab: Tab) -> Tab:
        """A second tab of the same person, beside one that is open."""
        return Tab(tab.page.context.new_page(), self._guard, tab.address)

    def close(self) -> None:
        """Close all."""
        for context in self._contexts:
            context.close()
