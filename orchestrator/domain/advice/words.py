"""Facts in sentences."""

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any, Final

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


def duration(seconds: float) -> str:
    """Seconds in the two largest units that they have: `2 h 5 min`, `40 s`, `0.4 s`."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    found: list[str] = []
    left = round(seconds)
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or found:
            found.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in found[:2] if part)


class _Sentence(Formatter):
    """`{x:time}` is a duration, `{x:share}` percent, `{x:money}` dollars, `{x:list}` the members of a list."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "time":
            return duration(value)
        if format_spec == "share":
            return f"{100 * value:.0f} %"
        if format_spec == "money":
            return f"${value:,.2f}"
        if format_spec == "list":
            return listed(value)
        return str(super().format_field(value, format_spec))


def listed(values: Sequence[Any], most: int = 5) -> str:
    """The first of several, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(map(str, values[:most])) + more


_SENTENCE: Final = _Sentence()


def needs(template: str) -> set[str]:
    """The facts that a sentence names."""
    return {name for _, name, _, _ in _SENTENCE.parse(template) if name}


def said(template: str, facts: Mapping[str, Any]) -> str:
    """A sentence with its facts."""
    return _SENTENCE.vformat(template, (), facts)
