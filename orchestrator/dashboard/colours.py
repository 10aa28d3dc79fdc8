"""Lines of output with the colours that terminals show, as spans with classes: nothing else of what a terminal obeys is left."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from markupsafe import Markup
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.dashboard.measures import shown

_SEQUENCE: Final = re.compile(
    r"\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_CUBE: Final = (0, 95, 135, 175, 215, 255)
_OF_MANY: Final = {38: "ink", 48: "ground"}
_EFFECTS: Final[Mapping[int, Mapping[str, Any]]] = {
    **{first + number: {part: number + more} for first, part, more in (
        (30, "ink", 0), (90, "ink", 8), (40, "ground", 0), (100, "ground", 8),
    ) for number in range(8)},
    39: {"ink": None}, 49: {"ground": None}, 7: {"turned": True}, 27: {"turned": False},
}  # fmt: skip
_FORMS: Final = {1: "bold", 2: "dim", 3: "italic", 4: "under", 9: "struck"}
_ENDS: Final = {22: frozenset({"bold", "dim"}), **{20 + code: frozenset({name}) for code, name in _FORMS.items() if code > 2}}
_NEAR_GREY: Final = 40
_BRIGHT: Final = 170


class Look(Struct, frozen=True):
    """How text looks: numbers of the 16 colours, None for the usual ones; and forms such as bold."""

    ink: int | None = None
    ground: int | None = None
    forms: frozenset[str] = frozenset()
    turned: bool = False

    @property
    def classes(self) -> str:
        """Names of styles. What has a ground of its own has the ink that can be read on it."""
        ink, ground = (self.ground, 7 if self.ink is None else self.ink) if self.turned else (self.ink, self.ground)
        names = [] if ground is not None or ink is None else [f"i{ink}"]
        names += [] if ground is None else [f"g{ground % 8}"]
        return " ".join([*names, *sorted(self.forms)])


PLAIN: Final = Look()


class Piece(Struct, frozen=True):
    """Some text that looks the same."""

    text: str
    look: Look


def pieces(line: str, look: Look = PLAIN) -> tuple[list[Piece], Look]:
    """A line as pieces, and how a line after it begins to look. What was written over itself is what was written last."""
    kept = line.rstrip("\r").rpartition("\r")[2] if "\r" in line else line
    if "\x1b" not in kept:
        return [Piece(kept, look)], look
    found: list[Piece] = []
    at = 0
    for match in _SEQUENCE.finditer(kept):
        if match.start() > at:
            found.append(Piece(kept[at : match.start()], look))
        at = match.end()
        if match[1] is not None:
            look = _changed(look, match[1])
    if at < len(kept):
        found.append(Piece(kept[at:], look))
    return found, look


def html(parts: Sequence[Piece], most: int, words: str = "") -> Markup:
    """Pieces up to `most` characters; what is searched for is marked, also where its colour changes."""
    text = "".join(part.text for part in parts)[:most]
    marks = list(_marks(text, words))
    made: list[Markup] = []
    at = 0
    for part in parts:
        end = min(at + len(part.text), most)
        if at >= most:
            break
        made.append(_span(part, [_cut(text, start, stop, marks) for start, stop in _parts(at, end, marks)]))
        at = end
    return Markup().join(made)


def _marks(text: str, words: str) -> Iterator[tuple[int, int]]:
    if words:
        for match in re.finditer(re.escape(words), text, re.IGNORECASE | re.ASCII):
            yield match.span()


def _parts(start: int, end: int, marks: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """From `start` to `end`, parted where a mark begins or ends."""
    borders = sorted({start, end, *(border for mark in marks for border in mark if start < border < end)})
    yield from pairwise(borders)


def _cut(text: str, start: int, end: int, marks: Sequence[tuple[int, int]]) -> Markup:
    said = shown(text[start:end], end - start)
    marked = any(begin <= start and end <= stop for begin, stop in marks)
    return Markup("<mark>{}</mark>").format(said) if marked else Markup("{}").format(said)


def _span(part: Piece, inside: Sequence[Markup]) -> Markup:
    whole = Markup().join(inside)
    classes = part.look.classes
    return Markup('<span class="{}">{}</span>').format(classes, whole) if classes else whole


def _changed(look: Look, parameters: str) -> Look:
    """A look after a sequence `CSI parameters m` (ECMA-48, SGR)."""
    # With colons a colour may have a name of its space, which is nearly always left empty.
    left = iter([int(one[:4]) if one else 0 for one in re.split("[;:]", parameters.replace("::", ":"))])
    for code in left:
        if code == 0:
            look = PLAIN
        elif code in _OF_MANY:
            number = _of_many(left)
            look = look if number is None else replace(look, **{_OF_MANY[code]: number})
        elif code in _EFFECTS:
            look = replace(look, **_EFFECTS[code])
        elif code in _FORMS:
            look = replace(look, forms=look.forms | {_FORMS[code]})
        else:
            look = replace(look, forms=look.forms - _ENDS.get(code, frozenset()))
    return look


def _of_many(left: Iterator[int]) -> int | None:
    """The nearest of the 16 colours to one of 256 (`5;n`), or of all (`2;r;g;b`)."""
    kind = next(left, None)
    if kind == 5:
        number = next(left, 0)
        return number if number < 16 else nearest(*_of_256(min(number, 255)))
    return nearest(next(left, 0), next(left, 0), next(left, 0)) if kind == 2 else None


def _of_256(number: int) -> tuple[int, int, int]:
    if number >= 232:
        grey = 8 + (number - 232) * 10
        return grey, grey, grey
    place = number - 16
    return _CUBE[place // 36], _CUBE[place // 6 % 6], _CUBE[place % 6]


def nearest(red: int, green: int, blue: int) -> int:
    """The one of the 16 colours that is of the same hue; 8 more for a bright one."""
    most, least = max(red, green, blue), min(red, green, blue)
    if most - least < _NEAR_GREY:
        return 0 if most < 64 else 8 if most < 140 else 7 if most < 225 else 15
    middle = (most + least) / 2
    hue = (red > middle) + 2 * (green > middle) + 4 * (blue > middle)
    return hue + (8 if most > _BRIGHT and least > 60 else 0)
