"""What no page may do: complain, fail, break its own policy, or ask another host for anything."""

import re
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Request, Response, WebError

_LOUD: Final = ("error", "warning", "assert")
_LOCAL: Final = ("about", "blob", "data")
_OWN_DOING: Final = "net::ERR_ABORTED"
"""The page left, or ended the request itself."""
_REPORT: Final = """addEventListener("securitypolicyviolation", (event) => __refused({
    directive: event.effectiveDirective, blocked: event.blockedURI, sample: event.sample, where: event.sourceFile ?? ""
}))"""
_SETTLE: Final = {True: "() => new Promise((done) => setTimeout(done, 0))", False: "0"}
"""With scripts, which alone bring timers to their end, and without."""


class Problem(Struct, frozen=True):
    """Something that a page did; `kind` is console, exception, policy, foreign, status, request or crash."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class Guard:
    """Watches all pages of a test, in however many contexts; what a test announces by `allow` is no problem."""

    def __init__(self, *addresses: str) -> None:
        self._own = {urlsplit(address).netloc for address in addresses}
        self._found: list[Problem] = []
        self._allowed: list[re.Pattern[str]] = []
        self._contexts: list[tuple[BrowserContext, bool]] = []

    def watch(self, context: BrowserContext, *, script: bool = True) -> None:
        """From now on, all that pages of this context do; `script`: whether theirs run."""
        self._contexts.append((context, script))
        context.expose_binding("__refused", lambda _, refused: self._note("policy", self._policy(refused)))
        context.add_init_script(_REPORT)
        context.on("console", self._said)
        context.on("weberror", self._threw)
        context.on("request", self._asked)
        context.on("response", self._answered)
        context.on("requestfailed", self._failed)
        context.on("page", lambda page: page.on("crash", lambda _: self._note("crash", page.url)))

    def own(self, address: str) -> None:
        """Another server that pages may ask."""
        self._own.add(urlsplit(address).netloc)

    def allow(self, pattern: str) -> None:
        """Announce problems that a test makes on purpose: a regular expression, looked for in `kind: text`."""
        self._allowed.append(re.compile(pattern))

    def problems(self) -> list[str]:
        """What was found so far and not announced, once all that has happened is heard of."""
        for page, script in [(page, script) for context, script in self._contexts for page in context.pages]:
            with suppress(Error):  # it is leaving for another page, or gone
                page.evaluate(_SETTLE[script])
        said = [str(problem) for problem in self._found]
        return [text for text in said if not any(pattern.search(text) for pattern in self._allowed)]

    def forget(self) -> list[str]:
        """What was found, as none of the test's concern any more."""
        found = self.problems()
        self._found.clear()
        return found

    def check(self) -> None:
        """Fail when there is any."""
        if found := self.problems():
            raise AssertionError("the pages did what no page may:\n  " + "\n  ".join(found))

    def _note(self, kind: str, text: str) -> None:
        self._found.append(Problem(kind, text))

    @staticmethod
    def _policy(refused: dict[str, Any]) -> str:
        return " ".join(str(refused[name]) for name in ("directive", "blocked", "where", "sample") if refused[name])

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in _LOUD:
            self._note("console", f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _threw(self, error: WebError) -> None:
        self._note("exception", f"{error.error.name}: {error.error.message}")

    def _asked(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in _LOCAL and url.netloc not in self._own:
            self._note("foreign", f"{request.method} {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self._note("status", f"{response.status} {response.request.method} {response.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != _OWN_DOING:
            self._note("request", f"{request.failure} {request.method} {request.url}")
