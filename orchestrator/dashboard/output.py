"""A window on the output of a task: some lines of it, as they are shown, whatever size all of it has."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from orchestrator.dashboard.colours import PLAIN, Look, Piece, html, pieces
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.logs import LogHits, LogOutline, ReadLogs, SearchLogs, StoredLogLine

LINES: Final = 250
MOST_CHARACTERS: Final = 24_000
MOST_OF_LINE: Final = 2000
_BEFORE: Final = 20
"""Lines that are shown before the one that is asked for."""
_MOST_HITS: Final = 10_000
_LONGEST_WORDS: Final = 200


class Line(Struct, frozen=True):
    """A line as it is shown; `left`: characters of it that are not."""

    number: int
    at: datetime
    stream: str
    html: Markup
    left: int
    hit: bool


class Part(Struct, frozen=True):
    """Lines of one lease, and the numbers of the first and the last that this one has in all."""

    lease_no: int
    lines: list[Line]
    first_line: int
    last_line: int


class Window(Struct, frozen=True):
    """What is shown of the output, and where one may go from here.

    `asked`: the number of the line that one came for; `follows`: it is the end, and goes on; `hits`: what was found.
    """

    parts: list[Part]
    outline: LogOutline
    first: int
    last: int
    asked: int
    follows: bool
    find: str
    hits: LogHits | None
    previous: int | None
    next: int | None


async def window(visit: Visit, task_id: int) -> Window:
    """What the address asks for: lines around `line`, after `after`, with `find` in them, or the last ones."""
    outline = await visit.ask(endpoints.log_outline(task_id))
    find = visit.one("find").strip()[:_LONGEST_WORDS]
    hits = await _found(visit, task_id, find) if find else None
    asked = min(visit.number("line"), outline.last_line)
    if hits and hits.lines and not asked and not visit.one("after"):
        asked = hits.lines[-1] if hits.complete else hits.lines[0]
    if asked or visit.one("after"):
        after = max(0, asked - 1 - _BEFORE) if asked else visit.number("after")
        lines = (await visit.ask(endpoints.read_logs(task_id, ReadLogs(after=after, limit=LINES)))).lines
        kept = _fitting(lines, asked)
    else:
        lines = (await visit.ask(endpoints.read_logs(task_id, ReadLogs(tail=LINES)))).lines
        kept = _fitting(lines[::-1])[::-1]
    found = hits.lines if hits else []
    last = kept[-1].number if kept else 0
    return Window(
        parts=list(_parts(kept, outline, find, set(found))),
        outline=outline,
        first=kept[0].number if kept else 0,
        last=last,
        asked=asked,
        follows=last >= outline.last_line and not asked and not visit.one("after"),
        find=find,
        hits=hits,
        previous=max((number for number in found if number < asked), default=None) if asked else None,
        next=min((number for number in found if number > asked), default=None) if asked else None,
    )


async def _found(visit: Visit, task_id: int, words: str) -> LogHits:
    return await visit.ask(endpoints.search_logs(task_id, SearchLogs(q=words, limit=_MOST_HITS)))


def _fitting(lines: Sequence[StoredLogLine], asked: int = 0) -> list[StoredLogLine]:
    """The first of these lines, as many as a page may have; without those before the one that is asked for, if need be."""
    kept: list[StoredLogLine] = []
    room = MOST_CHARACTERS
    for line in lines:
        room -= min(len(line.text), MOST_OF_LINE)
        if room < 0 and kept:
            if line.number > asked:
                break
            kept, room = [], MOST_CHARACTERS - min(len(line.text), MOST_OF_LINE)
        kept.append(line)
    return kept


def _parts(lines: Iterable[StoredLogLine], outline: LogOutline, find: str, hits: set[int]) -> Iterator[Part]:
    leases = {lease.lease_no: lease for lease in outline.leases}
    for lease_no, group in groupby(lines, key=lambda line: line.lease_no):
        shown = list(_shown(group, find, hits))
        lease = leases.get(lease_no)
        first, last = (shown[0].number, shown[-1].number) if lease is None else (lease.first_line, lease.last_line)
        yield Part(lease_no, shown, first, max(last, shown[-1].number))


def _shown(lines: Iterable[StoredLogLine], find: str, hits: set[int]) -> Iterator[Line]:
    """Lines of a lease: a colour that a stream has set lasts until it sets another."""
    looks: dict[str, Look] = {}
    for line in lines:
        # Twice as much as is shown, as sequences for colours take room, too.
        parts, looks[line.stream] = pieces(line.text[: 2 * MOST_OF_LINE], looks.get(line.stream, PLAIN))
        hit = line.number in hits
        yield Line(
            number=line.number,
            at=line.at,
            stream=line.stream,
            html=html(parts, MOST_OF_LINE, find if hit else ""),
            left=_left(parts, line.text),
            hit=hit,
        )


def _left(parts: Sequence[Piece], text: str) -> int:
    """How many characters of a line are not shown, more or less."""
    long = len(text) > 2 * MOST_OF_LINE or sum(len(part.text) for part in parts) > MOST_OF_LINE
    return max(1, len(text) - MOST_OF_LINE) if long else 0
