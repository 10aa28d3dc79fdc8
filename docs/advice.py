"""Writes docs/advice.md from the catalogue of advice: `python -m docs`."""

import re
from collections.abc import Iterator, Mapping

from orchestrator.domain.advice.catalogue import OF_A_TASK, OF_ALL, Entry

INTRODUCTION = """\
# Advice

<!-- stage: server failed -->

<!-- Written by docs/advice.py from orchestrator/domain/advice/catalogue; a test compares them. -->

The server says why a task failed and what to change about the whole: by rules, each with its evidence. No model is asked.

```console
$ orchestrator advice 17
$ orchestrator advice --dir ~/src/shop
```

`GET /api/v1/tasks/{id}/advice` is about one task, `GET /api/v1/advice` about the whole (`work_path`, `recursive`, `code`);
agents have the tool `advice` over [MCP](mcp.md). All need the scope `read`, and a key that is limited to some directories is
told of those alone.

Each piece has a `code`, a `message`, a `suggestion`, its `evidence` (lines of the output by number, attempts, numbers), a
`weight` from 1 to 100 by which they are sorted, and a `confidence`: `certain` is a fact, `likely` what the evidence says,
`possible` one reading of it, which weighs 20 less. `facts` has the values that the sentences name, so that other languages
need no more than the code; durations are in seconds.

What it looks at is bounded, so that it costs the same however long the past is. About a task: its last 20 attempts, the
error and the last 200 lines (10 of an agent, which talks of whatever it works on) of the last one that failed, and the
latest 200 tasks of its directory. About the whole: the latest 2,000 attempts of the last day and 2,000 of the week before, of
which a key sees those of its directories; the 2,000 schedules that are due next and as many paused ones; the 100 directories
where most waits. Small numbers raise no alarm: `failing_more` compares tasks, not attempts, and speaks only where chance
alone would once in 2,000.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([
        INTRODUCTION,
        "## About one task",
        "",
        *table(OF_A_TASK),
        "",
        "## About the whole",
        "",
        *table(OF_ALL),
        "",
    ])  # fmt: skip


def table(entries: Mapping[str, Entry]) -> Iterator[str]:
    """A row per code, the heaviest first."""
    yield from ("| code | weight | it means | what to do |", "| --- | --- | --- | --- |")
    for code, entry in sorted(entries.items(), key=lambda item: (-item[1].weight, item[0])):
        yield f"| `{code}` | {entry.weight} | {entry.meaning} | {plain(entry.suggestion)} |"


def plain(suggestion: str) -> str:
    """A suggestion with its facts by name, as a cell of a table."""
    told = suggestion.replace("{suggested_seconds} ({suggested_seconds:time})", "what fits")
    return re.sub(r"\{(\w+)(:\w+)?\}", r"*\1*", told).replace("|", "\\|")
