"""Writes RESULTS.md: a section for each part that was measured; the others stay as they were."""

import re
from pathlib import Path
from typing import Final

from benchmarks.report import HEADS, Report

_SECTION: Final = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
_LONG: Final = 20
_HEAD: Final = """# Results

Written by `make bench`, which measures what is quick (some minutes); `make bench ARGS=name` measures one part and leaves the
others as they are: {names}.
A machine that does nothing else is needed. Ratios are medians of rounds in which all took turns: they say more than the times,
which are this machine's. *asked* is what we ask of ourselves; where it is not held, it stands here, too.

Other systems come from pip (`make` installs them into `.venv-peers`) and from Debian: `apt-get install redis-server beanstalkd`.
One that is not there has a row that says how to get it.

"""


def table(heads: list[str], rows: list[list[str]]) -> str:
    """In Markdown; the first column is text, and so are those with long cells."""
    texts = [not at or max((len(row[at]) for row in rows), default=0) > _LONG for at in range(len(heads))]
    lines = [heads, ["---" if text else "--:" for text in texts], *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def section(name: str, about: str, measured_on: str, report: Report) -> str:
    """What a part found."""
    blocks = [f"## {name.capitalize()}\n", f"{about.strip()}\n", f"*{measured_on}*\n"]
    if report.svg:
        blocks.append(f"![]({name}.svg)\n")
    if report.compared:
        blocks.append(table(list(HEADS), [line.cells() for line in report.compared]))
    if report.said:
        blocks.append("".join(f"- {line}\n" for line in report.said))
    blocks += [f"**{shown.title}**\n\n{table(shown.heads, shown.cells())}" for shown in report.tables]
    return "\n".join(blocks)


def write(file: Path, names: list[str], sections: dict[str, str]) -> None:
    """Bring the file up to date; sections stand in the order of `names`."""
    before = dict(_SECTION.findall(file.read_text())) if file.exists() else {}
    known = before | {name: f"{text}\n" for name, text in sections.items()}
    whole = "".join(f"<!-- {name} -->\n{known[name]}<!-- end -->\n\n" for name in names if name in known)
    head = _HEAD.format(names=", ".join(f"`{name}`" for name in names))
    file.write_text(head + whole.rstrip("\n") + "\n")
