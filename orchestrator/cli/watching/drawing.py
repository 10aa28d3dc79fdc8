"""The screen as lines: exactly as many, and none wider, than the terminal has."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from rich.text import Text

from orchestrator.cli import output
from orchestrator.cli.watching.model import FAILED, NEEDS, RUNNING, SECTIONS, WAITING, Row, State
from orchestrator.cli.watching.words import flat, plain
from worker_client.contract.tasks import Task

LATEST: Final = "latest"
_STYLES: Final = {NEEDS: "bold magenta", RUNNING: "bold yellow", WAITING: "bold cyan", FAILED: "bold red", LATEST: "bold"}
_TURNS: Final = (RUNNING, NEEDS, WAITING, RUNNING, LATEST, FAILED)
"""Who gets the next line when there is room."""
_BARS: Final = "▁▂▃▄▅▆▇█"
_MIDDLE: Final = 80
_WIDE: Final = 120
_KEYS: Final = "↑↓ choose  enter details  a answer  c cancel  r retry  / filter  ? help  q quit"
HELP: Final = (
    "↑ ↓ k j         choose a task; g G the first, the last",
    "enter           its details and the end of its output; escape goes back",
    "a               answer its question, or approve it",
    "c               cancel it",
    "r               retry it, when it has ended",
    "/               show only tasks with these words in title, directory, worker, reason; escape shows all",
    "?               this",
    "q               quit",
)


class Cell(Struct):
    """A part of a line: its text, and how wide it is, or with `flex` its share of the room that is left."""

    text: Text
    width: int = 0
    flex: int = 0
    right: bool = False


def frame(state: State, width: int, height: int, now: datetime, silence: float | None) -> list[Text]:
    """The whole screen; `silence`: seconds since the server answered last."""
    top = [_header(state, width, now, silence)]
    bottom = [_foot(state)]
    room = height - len(top) - len(bottom)
    if state.help:
        body = [Text(""), *(Text(line) for line in HELP)]
    elif state.detail is not None:
        body = _details(state, room, now)
    else:
        if room > 6:
            bottom.insert(0, _note(state))
            room -= 1
        body = _lists(state, width, room, now)
    lines = [*top, *body[:room], *[Text("")] * (room - len(body)), *bottom][:height]
    return [_cut(line, width) for line in lines]


def _header(state: State, width: int, now: datetime, silence: float | None) -> Text:
    if silence is not None:
        return Text(f"no answer from {state.url} for {output.duration(silence)}, trying again", style="bold red")
    parts = [Text(state.url, style="bold" if width >= _MIDDLE else "dim")]
    found = state.statistics
    if found is not None:
        per_hour = found.throughput.get("1h")
        parts.append(Text(_graph(state.per_minute(now)), style="green"))
        parts += [Text(f"{per_hour.completed}/h")] if per_hour else []
        parts.append(Text(f"${found.usage.today.cost_usd:,.2f} today"))
    if state.words:
        parts.append(Text(f"filter: {state.words}", style="reverse"))
    return Text("  ").join(parts)


def _graph(counts: Sequence[int]) -> str:
    most = max(counts) or 1
    return "".join(_BARS[(count * (len(_BARS) - 1) + most - 1) // most] for count in counts)


def _foot(state: State) -> Text:
    if state.prompt is not None:
        prompt = state.prompt
        said = Text(f"{plain(prompt.label)} ", style="bold")
        return Text.assemble(said, "y/n" if prompt.confirms else f"{plain(prompt.text)}▏")
    if state.message:
        return Text(plain(state.message), style="bold")
    if state.detail is not None:
        return Text("↑↓ scroll  escape back  a answer  c cancel  r retry  q quit", style="dim")
    return Text(_KEYS, style="dim")


def _note(state: State) -> Text:
    """All of what the chosen row has no room for."""
    row = state.row
    if row is None:
        return Text("")
    where = f"{row.task.host}:{row.task.work_directory}" if row.task.host else row.task.work_directory
    return Text.assemble((plain(where), "blue"), "  ", plain(row.note))


def _lists(state: State, width: int, room: int, now: datetime) -> list[Text]:
    wanted = {section: len(state.shown(section)) for section in SECTIONS} | {LATEST: len(state.events)}
    given = shares(wanted, room)
    lines: list[Text] = []
    for section in SECTIONS:
        if given[section]:
            rows = state.shown(section)
            lines.append(_title(section, state.totals.get(section, str(len(rows)))))
            place = next((at for at, row in enumerate(rows) if (section, row.task.id) == state.chosen), 0)
            start = max(0, place - given[section] + 1)
            lines += [_row(section, row, state, width, now) for row in rows[start : start + given[section]]]
    if given[LATEST]:
        lines += [_title(LATEST, ""), *list(state.events)[-given[LATEST] :]]
    if not any(wanted.values()):
        lines = [Text(""), Text("nothing runs and nothing waits" if not state.words else "nothing has these words", style="dim")]
    return lines


def shares(wanted: Mapping[str, int], room: int) -> dict[str, int]:
    """How many rows each section gets of the lines there are: a heading and one row each first, the rest in turn."""
    given = dict.fromkeys(wanted, 0)
    for section in (*SECTIONS, LATEST):
        if wanted[section] and room >= 2:
            given[section], room = 1, room - 2
    while room > 0 and (takers := [one for one in _TURNS if 0 < given[one] < wanted[one]]):
        for section in takers:
            if room > 0 and given[section] < wanted[section]:
                given[section], room = given[section] + 1, room - 1
    return given


def _title(section: str, total: str) -> Text:
    return Text.assemble((section.upper(), _STYLES[section]), (f"  {total}", "dim"))


def _row(section: str, row: Row, state: State, width: int, now: datetime) -> Text:
    task = row.task
    chosen = state.chosen == (section, task.id)
    cells = [Cell(Text("▸" if chosen else " "), 1), Cell(Text(str(task.id), style="dim"), 7, right=True)]
    name = Cell(Text(plain(output.title(task, 500).plain)), flex=4)
    place = Cell(Text(_ending(plain(task.work_directory), max(12, width // 5)), style="blue"), flex=3)
    note = Cell(Text(plain(row.note), style="" if section != RUNNING else "dim"), flex=5)
    middle, wide = width >= _MIDDLE, width >= _WIDE
    if section == RUNNING:
        cells += [*([Cell(_bar(task), 8)] if wide else []), Cell(Text(_percent(task)), 4, right=True), name]
        cells += [place] if middle else []
        cells += [Cell(Text(plain(task.worker_id or "")), 18)] if wide else []
        cells.append(Cell(Text(_since(task.started_at, now)), 7, right=True))
        cells += [Cell(Text(_cost(task)), 8, right=True)] if middle else []
        cells += [note] if wide else []
    elif section == WAITING:
        several = Text(f"{row.count} x" if row.count > 1 else "", style="bold")
        cells += [
            place,
            Cell(several, 5, right=True),
            *([name] if wide else []),
            Cell(Text(_since(task.created_at, now)), 7, right=True),
        ]
        cells.append(note)
    elif section == NEEDS:
        kind = "answer" if task.parked is not None and task.parked.question else "approve"
        cells += [Cell(Text(kind, style="magenta"), 7), name, *([place] if wide else []), *([note] if middle else [])]
    else:
        ended = Cell(Text(_since(task.finished_at, now)), 7, right=True)
        cells += [name, *([place] if middle else []), ended, *([note] if middle else [])]
    line = _laid(cells, width)
    if chosen:
        line.stylize("reverse")
    return line


def _laid(cells: Sequence[Cell], width: int) -> Text:
    room = width - sum(cell.width for cell in cells) - len(cells) + 1
    flex = sum(cell.flex for cell in cells) or 1
    line = Text()
    for at, cell in enumerate(cells):
        wide = cell.width or max(1, room * cell.flex // flex)
        text = cell.text.copy()
        text.truncate(wide, overflow="ellipsis", pad=not cell.right)
        if cell.right:
            text.pad_left(wide - text.cell_len)
        line = Text.assemble(line, " " if at else "", text)
    return line


def _details(state: State, room: int, now: datetime) -> list[Text]:
    detail = state.detail
    if detail is None:
        return []
    task = detail.task
    facts = [
        ("", f"task {task.id}  {task.title or ''}"),
        ("status", f"{task.status}  attempt {task.attempt} of {task.max_attempts}  {_since(task.started_at, now)}"),
        ("directory", f"{task.host}:{task.work_directory}" if task.host else task.work_directory),
        ("worker", task.worker_id or ""),
        ("progress", f"{_percent(task)} {(task.progress.message if task.progress else None) or ''}".strip()),
        ("cost", _cost(task)),
        ("question", (task.parked.question if task.parked else None) or ""),
        ("options", "  ".join(f"{place}) {one}" for place, one in enumerate(task.parked.options if task.parked else [], 1))),
        ("error", f"{task.error.type}: {task.error.message}" if task.error else ""),
        ("why", detail.why),
        ("prompt", task.prompt or ""),
    ]
    lines = [Text.assemble((f"{name:<10}", "dim"), plain(value)) for name, value in facts if value]
    lines = [*lines[: max(1, room - 4)], Text("OUTPUT", style="bold")]
    left = max(0, room - len(lines))
    end = len(detail.lines) - min(detail.back, max(0, len(detail.lines) - left))
    return [*lines, *(Text(plain(line)) for line in detail.lines[max(0, end - left) : end])]


def _cut(line: Text, width: int) -> Text:
    line = flat(line)
    line.truncate(width, overflow="ellipsis")
    return line


def _bar(task: Task) -> Text:
    percent = task.progress.percent if task.progress else None
    full = 0 if percent is None else round(percent / 100 * 8)
    return Text.assemble(("█" * full, "green"), ("░" * (8 - full), "dim"))


def _percent(task: Task) -> str:
    percent = task.progress.percent if task.progress else None
    return "" if percent is None else f"{percent:.0f}%"


def _cost(task: Task) -> str:
    return f"${task.usage.cost_usd:,.2f}" if task.usage and task.usage.cost_usd else ""


def _since(at: datetime | None, now: datetime) -> str:
    return "" if at is None else output.duration(max(0.0, (now - at.astimezone(UTC)).total_seconds()))


def _ending(path: str, most: int) -> str:
    """A path whose end is seen, as that tells it from others."""
    return path if len(path) <= most else f"…{path[1 - most :]}"
