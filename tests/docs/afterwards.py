"""What must have become of the work that a page begins, beyond that each of its blocks ends well."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.acceptance.programs import until
from tests.docs.story import Story


def _ended(story: Story, *titles: str) -> dict[str, Any]:
    """The tasks of these titles (or prompts, or kinds), once they have ended."""

    def found() -> dict[str, Any] | None:
        tasks = story.told("orchestrator list --limit 200")["items"]
        by_title = {task["title"] or task["prompt"] or task["kind"]: task for task in tasks}
        return by_title if all(by_title[title]["finished_at"] for title in titles) else None

    return until(found)


def _readme(story: Story) -> None:
    titles = ("Fix the flaky test", "What happened lately", "Tidy up", "Ada", "Ship it")
    tasks = _ended(story, *titles)
    assert {tasks[title]["status"] for title in titles} == {"completed"}
    assert tasks["Refactor the cart"]["status"] == "scheduled"
    story.ends("ORCHESTRATOR_API_KEY= orchestrator list", 6)


AFTERWARDS: Final[Mapping[str, Callable[[Story], None]]] = {"README.md": _readme}
