"""The code blocks of README and docs, and what their pages say is to be done with each.

A block of `sh`, `console` (its lines after `$ `) or `python` is run. Anything else, and what is not to be run, says so in a
comment on the line above it, `<!-- KIND: detail -->`:

| kind | the block |
| --- | --- |
| `run` | is run although its language does not say so |
| `output` | is shown only: what a program prints, a drawing, a form to fill in |
| `file: NAME` | is written to that file, for the blocks below it |
| `send: METHOD /path` | is the body of a request that the server takes |
| `settings: server`, `settings: worker` | is a file of settings, without mistakes |
| `background: WORDS` | is started, and goes on; the page goes on when it has printed these words |
| `stopped` | is run when what the page has started is stopped, as by Ctrl-C |
| `exits: CODE` | is run, and ends with that exit code |
| `tested: tests/FILE` | is read and tried by that file, since it needs what a story has not: Docker, systemd, a mailbox |

Between blocks stands what readers don't see: `<!-- agent: COMMANDS -->` says what the stand-in for an agent does from there on
(tests/docs/agent.py), and `<!-- check: COMMANDS -->`, in the reader's terminal, what has to be true by then.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# The README in Chinese has the blocks of the other one: test_languages.py compares them.
PAGES: Final = sorted([*(set(ROOT.glob("*.md")) - {ROOT / "README.zh-CN.md"}), *(ROOT / "docs").rglob("*.md")])
RUN: Final = {"sh", "console", "python"}
UNSEEN: Final = {"agent", "check"}
SHOWN: Final = {"text", "mermaid"}
KINDS: Final = {
    *("run", "output", "file", "send", "settings", "background", "stopped", "exits", "tested"),
    *UNSEEN,
}

_FENCE: Final = re.compile(r"(?P<indent> *)(?P<fence>`{3,})(?P<language>[\w+-]*)[^`]*")
_MARKER: Final = re.compile(r"\s*<!-- (?P<kind>[a-z]+)(?:: (?P<detail>.+?))? -->")
_STAGE: Final = re.compile(r"<!-- stage: (?P<name>[a-z ]+) -->")


@dataclass(frozen=True)
class Block:
    """`line` is that of the fence; `kind` is empty where nothing says what to do."""

    page: Path
    line: int
    language: str
    kind: str
    detail: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Those of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        if (fence := _FENCE.fullmatch(lines[at])) is None:
            if (marker := _MARKER.fullmatch(lines[at])) and marker["kind"] in UNSEEN:
                yield Block(page, at + 1, "", marker["kind"], "", marker["detail"])
            at += 1
            continue
        begun, indent, closing = at, fence["indent"], fence["fence"]
        at += 1
        while lines[at].strip() != closing:
            at += 1
        text = "".join(f"{line.removeprefix(indent)}\n" for line in lines[begun + 1 : at])
        marker = _MARKER.fullmatch(lines[begun - 1]) if begun else None
        marker = None if marker and marker["kind"] in UNSEEN else marker
        language = fence["language"]
        kind = marker["kind"] if marker else "run" if language in RUN else "output" if language in SHOWN else ""
        yield Block(page, begun + 1, language, kind, (marker and marker["detail"]) or "", text)
        at += 1


def stage(page: Path) -> str:
    """What has to be there before a page is begun, as it says itself: `bare`, `server` (the default) or `worker`, and STAGES.

    `fresh`: not even our programs; tests/docs/test_start.py tells that page.
    """
    said = _STAGE.search(page.read_text(encoding="utf-8"))
    return said["name"] if said else "server"
