"""What the scripts that write pages from the code share: tables, and types in words."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
ENDLESS: Final = 2**31
"""Limits from here on are those of the number itself."""


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table."""
    first = list(heads)
    return [_row(first), _row("---" for _ in first), *(_row(map(cell, row)) for row in rows)]


def cell(text: str) -> str:
    """A text for one cell: on one line, with no bar that would end it."""
    return " ".join(text.split()).replace("|", "\\|")


def anchor(heading: str) -> str:
    """What GitHub and the site call a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")


def code(value: Any) -> str:
    """A value as it is written in JSON."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def paragraphs(docstring: str) -> list[str]:
    """A docstring as Markdown: its paragraphs, each on one line."""
    return [" ".join(part.split()) for part in docstring.strip().split("\n\n") if part.strip()]


def typed(schema: Schema, link: Callable[[str], str]) -> str:
    """A JSON schema in words; `link` says where an object of that name is explained."""
    match schema:
        case {"$ref": str(there)}:
            said = link(there.rpartition("/")[2])
        case {"anyOf": list(choices)}:
            said = " or ".join(dict.fromkeys(typed(one, link) for one in choices))
        case {"enum": list(values)}:
            said = ", ".join(f"`{one}`" for one in values)
        case {"const": value}:
            said = code(value)
        case {"type": "array"}:
            said = f"list of {_several(typed(schema.get('items') or {}, link))}" + _between(
                schema.get("minItems"), schema.get("maxItems"), ", {} of them", zero=True
            )
        case {"type": "object", "additionalProperties": dict(values)} if values:
            said = f"object of {_several(typed(values, link))}"
        case _:
            said = _plain(schema)
    return said


def _several(kind: str) -> str:
    return re.sub(r"^(string|integer|number|object|list)\b", r"\1s", kind)


def _plain(schema: Schema) -> str:
    match schema.get("type"):
        case "string":
            if schema.get("format") == "date-time":
                return "time"
            return "string" + _between(schema.get("minLength"), schema.get("maxLength"), " of {} characters", zero=True)
        case "integer" | "number" as kind:
            return str(kind) + _between(schema.get("minimum"), schema.get("maximum"), ", {}")
        case str() as kind:
            return kind
        case _:
            return "any JSON"


def _between(least: float | None, most: float | None, said: str, *, zero: bool = False) -> str:
    """How small and how large something may be; `zero`: it is a number of things, which is never less than none."""
    most = None if most is not None and most > ENDLESS else most
    least = None if zero and not least else least
    if most is None:
        return "" if least is None else said.format(f"at least {_number(least)}")
    return said.format(f"at most {_number(most)}" if least is None else f"{_number(least)} to {_number(most)}")


def _number(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
