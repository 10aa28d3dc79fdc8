"""Pages and their panels: a panel is drawn by itself, so that it can be drawn anew alone when something happened."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from markupsafe import Markup
from msgspec import Struct

from orchestrator.dashboard.drawing import drawn
from orchestrator.dashboard.visit import Visit
from worker_client.errors import Forbidden, OrchestratorError

Facts = dict[str, Any]
Find = Callable[[Visit], Awaitable[Facts]]
EVERYTHING: Final = "live=true"


async def _nothing(_visit: Visit) -> Facts:
    return {}


def _all(_visit: Visit) -> str:
    return EVERYTHING


class Panel(Struct, frozen=True):
    """A part of a page: `panels/<name>.html`, drawn from the facts.

    `on`: the types of events after which it is drawn anew, `task.*` for a family; none: it stays as it is. `task.progress` and
    `task.output` must be named, as they come often. `label`: the key of the text that names it to those who don't see it, by
    default `now.running` for `now-running`.
    """

    name: str
    facts: Find = _nothing
    on: tuple[str, ...] = ()
    label: str | None = None


class Page(Struct, frozen=True):
    """A page: `pages/<name>.html`, which places its panels as `{{ panels.<panel> }}`.

    `subject`: facts for the whole page, found first; what it refuses is the answer. `stream`: the query of the events that the
    page listens to. `part`: the entry of the menu that it belongs to, by default its own name.
    """

    name: str
    panels: tuple[Panel, ...] = ()
    subject: Find = _nothing
    stream: Callable[[Visit], str] = _all
    part: str | None = None


async def whole(page: Page, visit: Visit) -> str:
    """All of a page, as HTML. Raises OrchestratorError when its subject cannot be shown."""
    mark = visit.mark
    subject = await page.subject(visit)
    found = await asyncio.gather(*(_panel(panel, visit) for panel in page.panels))
    panels = {panel.name: html for panel, html in zip(page.panels, found, strict=True)}
    facts = {**subject, "panels": panels, "page": page.name, "part": page.part or page.name}
    return drawn(f"pages/{page.name}.html", visit, **facts, mark=mark, stream=page.stream(visit))


async def parts(page: Page, names: Sequence[str], visit: Visit) -> str:
    """Some panels of a page, one after the other."""
    wanted = [panel for panel in page.panels if panel.name in names]
    return "".join(await asyncio.gather(*(_panel(panel, visit) for panel in wanted)))


async def _panel(panel: Panel, visit: Visit) -> Markup:
    family, _, name = panel.name.partition("-")
    label = panel.label or f"{family}.{name.replace('-', '_')}"
    try:
        inside = Markup(drawn(f"panels/{panel.name}.html", visit, **await panel.facts(visit)))  # noqa: S704  a template of ours
    except OrchestratorError as refused:
        inside = Markup(drawn("refused.html", visit, refused=refused, forbidden=isinstance(refused, Forbidden)))  # noqa: S704  a template of ours
    frame = drawn("panel.html", visit, name=panel.name, on=" ".join(panel.on), label=label, inside=inside)
    return Markup(frame)  # noqa: S704  a template of ours
