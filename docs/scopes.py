"""Writes docs/scopes.md from the routes: `python -m docs`."""

from orchestrator.app import compose
from orchestrator.dashboard.routes import ASSETS, PAGES
from orchestrator.http.guard import KNOWN, SCOPE, handlers
from orchestrator.settings import Settings
from worker_client.contract.enums import Scope

PUBLIC = "everybody"
OF_PAGES = {*PAGES, *(f"/assets/{name}" for name in ASSETS), "/do/{action}"}
ABOUT = {
    PUBLIC: "No key is asked for; whoever has none learns nothing of any task.",
    KNOWN: "Any key will do, whatever its scopes.",
    Scope.READ: "To look. What lies outside of a key's paths is not there.",
    Scope.SUBMIT: "To put tasks in, and to change what becomes of them.",
    Scope.WORK: "To do them. Reports take the lease, which is good with the key that claimed it only.",
    Scope.ADMIN: "To decide for others, and to say who may do what. `admin` has the other three, too.",
}


def page() -> str:
    """The whole page."""
    calls = needed()
    return "\n".join([
        "# Which call needs which scope",
        "",
        "<!-- Written by docs/scopes.py from the routes; a test compares them. -->",
        "",
        "A key has one or more scopes; without the one that a call needs it is answered 403. [Who may do what](security.md).",
        "The pages of the dashboard need `read`; what is done on them needs what the call needs that does it.",
        "",
        *(line for name, about in ABOUT.items() for line in section(str(name), about, calls[str(name)])),
    ])  # fmt: skip


def section(name: str, about: str, calls: list[str]) -> list[str]:
    """A scope and its calls."""
    return [f"## {name}", "", about, "", *(f"- `{call}`" for call in sorted(calls, key=by_path)), ""]


def needed() -> dict[str, list[str]]:
    """The calls by the scope that their routes declare."""
    found: dict[str, list[str]] = {}
    for path, handler in handlers(compose(Settings())):
        if path in OF_PAGES:
            continue
        methods = sorted(getattr(handler, "http_methods", {"WS"}) - {"HEAD"})
        found.setdefault(str(handler.opt.get(SCOPE, PUBLIC)), []).extend(f"{method} {path}" for method in methods)
    return found


def by_path(call: str) -> tuple[str, str]:
    """By path, then by method."""
    method, _, path = call.partition(" ")
    return path, method
