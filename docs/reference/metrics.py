"""Writes docs/reference/metrics.md from the metrics that a server has: `python -m docs`."""

from collections.abc import Mapping
from typing import Any, Final

from docs.writing import table
from orchestrator.telemetry.gauges import FULL
from orchestrator.telemetry.metrics import Metrics

_OF_INFO: Final = {"orchestrator": ("version",)}
INTRODUCTION: Final = """\
# List of metrics

<!-- Written by docs/reference/metrics.py from orchestrator/telemetry; a test compares them. -->

`GET /metrics` answers with these, and with `process_*` of the process, as of any program. [Metrics](../metrics.md) says how to
scrape them, and which alerts there are. A histogram has `_bucket`, `_sum` and `_count` behind its name.

"""


def pages() -> Mapping[str, str]:
    """The page by its place below docs/reference."""
    metrics = Metrics("")
    metrics.render(FULL)
    rows = []
    for family in sorted(metrics.collect(), key=lambda one: one.name):
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = ", ".join(f"`{label}`" for label in _names(family))
        rows.append((f"`{name}`", family.type, labels, family.documentation))
    lines = table(("metric", "type", "labels", "what it says"), rows)
    return {"metrics.md": INTRODUCTION + "\n".join([*lines, ""])}


def _names(family: Any) -> tuple[str, ...]:
    return family._labelnames or _OF_INFO.get(family.name, ())  # noqa: SLF001 - kept nowhere else
