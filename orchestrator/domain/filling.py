"""Arguments put into the places of a command's text: `$ARGUMENTS`, `$1`, `${name}`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from orchestrator.domain.defusing import Pieces
from worker_client.contract.commands import Argument
from worker_client.contract.fields import JsonObject
from worker_client.errors import ValidationFailed

_PLACE: Final = re.compile(
    r"(?<!\\)\$(?:(?P<all>ARGUMENTS)(?![A-Za-z0-9_])(?:\[(?P<nth>[0-9]{1,3})\])?|(?P<number>[1-9][0-9]{0,2})"
    r"|\{(?P<named>[A-Za-z_][A-Za-z0-9_-]{0,63})\}|(?P<bare>[A-Za-z_][A-Za-z0-9_]{0,63}))"
)
# As a shell has them, only that a quote without its other half is a sign like others: people write "don't".
_PART: Final = re.compile(
    r"""(?P<space>\s+)|"(?P<double>(?:[^"\\]|\\.)*+)"|'(?P<single>[^']*+)'|\\(?P<escaped>["'\\\s])|(?P<plain>[^\s"'\\]++|.)""",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r'\\(["\\])')
Word = tuple[str, ...]
"""In the parts that it was put together from, as no two of them may make a reference to a secret."""


class Given:
    """Arguments by place and by name."""

    def __init__(self, whole: Word, words: Sequence[Word], named: Mapping[str, Word]) -> None:
        self.whole = whole
        self.words = words
        self.named = dict(named)


def filled(body: str, declared: Sequence[Argument], arguments: str | JsonObject | None, most: int, field: str) -> str:
    """The text with its arguments, of `most` characters. Raises ValidationFailed; `field`: what they were sent as."""
    places = list(_PLACE.finditer(body))
    if isinstance(arguments, dict):
        given = _by_name(arguments, declared, places, field)
    else:
        given = _by_place(arguments or "", declared, places, field)
    for argument in declared:
        if argument.name not in given.named:
            if argument.required:
                raise ValidationFailed(f"`{field}` has no {argument.name!r}, which the command requires: send it", field=field)
            given.named[argument.name] = (argument.default or "",)
    pieces, left, at = Pieces(), most, 0
    for place in places:
        word = _word(place, given)
        if word is None:
            continue
        left -= place.start() - at + sum(map(len, word))
        if left < 0:
            break
        pieces.written(body[at : place.start()])
        for part in word:
            pieces.apart(part)
        at = place.end()
    if left < len(body) - at:
        raise ValidationFailed(f"`{field}` make a prompt of more than {most:,} characters: send less", field=field)
    pieces.written(body[at:])
    return pieces.text()


def words(text: str) -> list[Word]:
    """The words of a text as a shell has them."""
    found: list[Word] = []
    word: list[str] | None = None
    for part in _PART.finditer(text):
        if part["space"] is not None:
            if word is not None:
                found.append(tuple(word))
            word = None
            continue
        word = [] if word is None else word
        if part["double"] is not None:
            word.extend(_ESCAPED.split(part["double"]))
        else:
            word.append(part[part.lastgroup or 0])
    return found if word is None else [*found, tuple(word)]


def _by_place(text: str, declared: Sequence[Argument], places: Sequence[re.Match[str]], field: str) -> Given:
    split = words(text)
    taken = max((_number(place) for place in places), default=0)
    if len(split) > max(taken, len(declared)) and not any(place["all"] and place["nth"] is None for place in places):
        extra = "".join(split[max(taken, len(declared))])[:50]
        raise ValidationFailed(
            f"`{field}` has {extra!r}, for which the command has no place: leave it out, or put what belongs together in quotes",
            field=field,
        )
    named = {argument.name: word for argument, word in zip(declared, split, strict=False)}
    return Given((text.strip(),), split, named)


def _by_name(sent: JsonObject, declared: Sequence[Argument], places: Sequence[re.Match[str]], field: str) -> Given:
    known = dict.fromkeys([*(argument.name for argument in declared), *(place["named"] for place in places if place["named"])])
    named = {name: (_text(value),) for name, value in sent.items() if value is not None}
    if unknown := next((name for name in sent if name not in known), None):
        there = ", ".join(f"`{name}`" for name in known) or "none"
        raise ValidationFailed(f"`{field}` has {unknown[:50]!r}, which the command does not know; there are {there}", field=field)
    in_order = {argument.name: named.get(argument.name, (argument.default or "",)) for argument in declared} | named
    return Given(_spaced([word for name, word in in_order.items() if name in named]), list(in_order.values()), named)


def _spaced(parts: Sequence[Word]) -> Word:
    return tuple(text for place, part in enumerate(parts) for text in ((" ", *part) if place else part))


def _word(place: re.Match[str], given: Given) -> Word | None:
    """What stands in a place; None for what only looks like one."""
    if place["all"] and place["nth"] is None:
        return given.whole
    if number := _number(place):
        return given.words[number - 1] if number <= len(given.words) else ()
    return given.named.get(place["named"] or place["bare"])


def _number(place: re.Match[str]) -> int:
    if place["nth"] is not None:
        return int(place["nth"]) + 1
    return int(place["number"] or 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
