"""Writes docs/reference/events.md from the types of events that there are: `python -m docs`."""

from collections.abc import Mapping
from itertools import groupby
from typing import Final

from docs.writing import table
from worker_client.contract.happenings import DATA, HAPPENINGS

INTRODUCTION: Final = """\
# List of events

<!-- Written by docs/reference/events.py from worker_client/contract/happenings.py; a test compares them. -->

[Events](../events.md) says how to listen to them, [notifications](../notifications.md) how to be told of some. Each is an
[Event](api/events.md#event) of the API; the tables say what its `data` may have. What does not apply is left out.

"""


def pages() -> Mapping[str, str]:
    """The page by its place below docs/reference."""
    lines: list[str] = []
    for about, found in groupby(HAPPENINGS.items(), key=lambda one: one[0].partition(".")[0]):
        rows = ((f"`{name}`", what.meaning, ", ".join(f"`{key}`" for key in what.data)) for name, what in found)
        lines += [f"## {about}", "", *table(("type", "what happened", "data"), rows), ""]
    lines += ["## Data", "", *table(("name", "is"), ((f"`{name}`", meaning) for name, meaning in DATA.items())), ""]
    return {"events.md": INTRODUCTION + "\n".join(lines)}
