"""Texts of lines such as `【url】https://example.org`, as TimerJobs writes what a job does."""

import re
from collections.abc import Collection
from typing import Final

from worker_client.errors import ValidationFailed

_CLOSING: Final = {"【": "】", "〖": "〗", "\uff3b": "\uff3d", "[": "]"}
_OWN: Final = "【"
"""Brackets that stand for nothing else; what the others enclose is a key only when it is one that is known."""
_MARKS: Final = {
    opening: re.compile(
        rf"^[^\S\n]*{re.escape(opening)}[^\S\n]*([^\s{re.escape(closing)}][^{re.escape(closing)}\n]*?)\s*{re.escape(closing)}",
        re.MULTILINE,
    )
    for opening, closing in _CLOSING.items()
}
_SPACE: Final = " \t\n\ufeff\u3000"


def read(text: str, known: Collection[str], *, field: str) -> dict[str, str] | None:
    """The values by key, without the empty ones; None when the text has no keys at all.

    A value goes on to the next line with a key, so it may have line breaks. Brackets may be full-width or half-width, but are the
    same throughout. Raises ValidationFailed for a key that is unknown, that stands there twice, or in the middle of a line.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip(_SPACE)
    opening = text[:1]
    marks = _found(text, opening, known) if opening in _MARKS else []
    if not marks:
        _check_bare(text, known, field)
        return None
    values: dict[str, str] = {}
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        key = mark[1].lower()
        if key not in known:
            raise ValidationFailed(f"`{field}` has the unknown key {_shown(mark[1])}; known are {_list(known)}", field=field)
        if key in values:
            raise ValidationFailed(f"`{field}` has {_shown(key)} twice: leave one of them out", field=field)
        values[key] = text[mark.end() : after.start() if after else len(text)].strip(_SPACE)
    return {key: value for key, value in values.items() if value}


def line(values: dict[str, str], key: str, *, field: str) -> str | None:
    """A value that has to be one line, without another key in it."""
    value = values.get(key)
    if value is not None and ("\n" in value or _OWN in value):
        raise ValidationFailed(
            f"{_shown(key)} in `{field}` is {value[:100]!r}: write one line, and each key on its own", field=field
        )
    return value


def pairs(value: str, sign: str) -> list[tuple[str, str]]:
    """The halves of each `name<sign>value` of those that `|||` divides; a half without the sign has no name."""
    parts = (part.strip() for part in value.split("|||"))
    halves = (part.partition(sign) for part in parts if part)
    return [(name.strip(), rest.strip()) if found else ("", name) for name, found, rest in halves]


def _found(text: str, opening: str, known: Collection[str]) -> list[re.Match[str]]:
    marks = [mark for mark in _MARKS[opening].finditer(text) if opening == _OWN or mark[1].lower() in known]
    return marks if marks and marks[0].start() == 0 else []


def _check_bare(text: str, known: Collection[str], field: str) -> None:
    late = next((mark for mark in _MARKS[_OWN].finditer(text) if mark[1].lower() in known), None)
    if late is not None:
        raise ValidationFailed(
            f"`{field}` has text before {_shown(late[1])}: begin with a key, one of {_list(known)}", field=field
        )


def _list(known: Collection[str]) -> str:
    return ", ".join(map(_shown, known))


def _shown(key: str) -> str:
    return f"【{key[:40]}】"
