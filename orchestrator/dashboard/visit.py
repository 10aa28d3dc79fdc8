"""Somebody who looks at a page: what they asked for, what they prefer, and the API on their behalf."""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qs, urlencode

from orchestrator.dashboard.asking import Asking
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.texts import Texts, catalogue, preferred
from orchestrator.domain.task import Millis
from orchestrator.http.scope import Asked, below_root, principal
from worker_client.contract.enums import Scope
from worker_client.endpoints import Call
from worker_client.errors import OrchestratorError, ValidationFailed

T = TypeVar("T")
LANGUAGE: Final = "orchestrator_language"
THEME: Final = "orchestrator_theme"
"""Cookies of what one prefers."""
THEMES: Final = ("light", "dark")
_MOST_PARAMETERS: Final = 200


class Visit:
    """`ask` sends a call of the SDK's endpoints as whoever looks; `path` has the parameters of the route."""

    def __init__(self, request: Asked) -> None:
        self.request = request
        self.ask = Asking(request)
        self.path: dict[str, str] = dict(request.scope.get("path_params", {}))
        self.root: str = request.scope.get("root_path", "")
        self._asked: dict[tuple[str, ...], asyncio.Future[Any]] = {}
        self.now: Millis = request.app.state.queue.now()
        self.form: Form | None = None
        self.refused: OrchestratorError | None = None
        """What was sent and why it was refused, where a page is drawn again with it."""
        self.at = below_root(cast("Mapping[str, Any]", request.scope))

    async def once(self, call: Call[T]) -> T:
        """The same as `ask` for what several panels of a page want to know: it is asked once."""
        asked = (call.method, call.path, repr(call.params))
        if asked not in self._asked:
            self._asked[asked] = asyncio.ensure_future(self.ask(call))
        answer: T = await self._asked[asked]
        return answer

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the address, without empty ones."""
        try:
            return parse_qs(self.request.scope["query_string"].decode("ascii", "replace"), max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            self.query = {}  # what draws the refusal asks for them, too
            raise ValidationFailed(f"the address has more than {_MOST_PARAMETERS} parameters: leave some out", field="") from None

    def one(self, name: str, otherwise: str = "") -> str:
        """The first of a parameter."""
        return self.query.get(name, [otherwise])[0]

    def many(self, name: str) -> list[str]:
        """All of a parameter."""
        return self.query.get(name, [])

    def number(self, name: str, otherwise: int = 0) -> int:
        """A parameter as a whole number of 0 or more; `otherwise` for what is none."""
        text = self.one(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else otherwise

    def link(self, path: str, /, **query: object) -> str:
        """An address of a page here; parameters that are None or empty are left out."""
        kept = {name: value for name, value in query.items() if value is not None and value != ""}
        return f"{self.root}{path}" + (f"?{urlencode(kept, doseq=True)}" if kept else "")

    def here(self, **changed: object) -> str:
        """This address with other parameters; None leaves one out."""
        query: dict[str, object] = {name: value for name, value in self.query.items() if name != "panel"} | changed
        return self.link(self.at, **query)

    @cached_property
    def texts(self) -> Texts:
        """What the page says."""
        return catalogue(preferred(self._cookies.get(LANGUAGE), self.request.headers.get("accept-language", "")))

    @cached_property
    def theme(self) -> str:
        """Light or dark, where one has chosen; else empty, and the system's."""
        chosen = self._cookies.get(THEME, "")
        return chosen if chosen in THEMES else ""

    @cached_property
    def _cookies(self) -> dict[str, str]:
        pairs = (part.strip().partition("=") for part in self.request.headers.get("cookie", "").split(";"))
        return {name: value for name, _, value in pairs}

    def may(self, scope: str) -> bool:
        """Whether they hold a scope, so that pages offer only what can be done."""
        scopes = principal(self.request).scopes
        return Scope.ADMIN in scopes or Scope(scope) in scopes

    @property
    def mark(self) -> str:
        """Where in the feed the page stands: it goes on from there, and misses nothing."""
        state = self.request.app.state
        return f"{state.store.epoch}-{state.queue.feed.last_id}"
