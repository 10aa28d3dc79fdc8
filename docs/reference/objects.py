"""The objects of the API as Markdown: on which page each stands, and its fields."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from docs.writing import anchor, code, paragraphs, table, typed

PAGE: Final = "Page_"
_SHARED: Final = 5
"""So many fields in common make one object an extension of another."""


class Objects:
    """Those of an OpenAPI document; pages are named, and each object stands on the first page that claims it."""

    def __init__(self, schemas: Mapping[str, Any], homes: Mapping[str, str]) -> None:
        self._schemas = schemas
        self._homes = homes
        self._places: dict[str, str] = {}
        self._moved: set[str] = set()

    def claim(self, page: str, schemas: Iterable[Any]) -> None:
        """Have all objects that these schemas name stand on a page, and those that they name in turn."""
        for schema in schemas:
            for name in _named(schema):
                if name.startswith(PAGE) or "enum" in self._schemas[name]:
                    self.claim(page, self._schemas[name].get("properties", {}).values())
                elif name not in self._places:
                    self._places[name] = self._homes.get(name, page)
                    self.claim(page, self._schemas[name].get("properties", {}).values())

    def move(self, page: str) -> None:
        """Give the objects of a page one of their own."""
        self._moved.add(page)

    def moved(self, page: str) -> bool:
        """Whether they have one."""
        return page in self._moved

    def lines(self, page: str) -> list[str]:
        """The objects of a page."""
        here = f"{page}-objects" if page in self._moved else page
        return [line for name, place in self._places.items() if place == page for line in self._object(here, name)]

    def typed(self, page: str, schema: Any) -> str:
        """A schema in words, with links from a page."""
        return typed(schema, lambda name: self._link(page, name))

    def field(self, page: str, name: str, schema: Any, required: bool, meaning: str) -> tuple[str, ...]:  # noqa: FBT001 - a row
        """A row: name, type, default, meaning."""
        default = "needed" if required else "" if schema.get("default") in (None, [], {}, "") else code(schema["default"])
        return f"`{name}`", self.typed(page, schema).removesuffix(" or null"), default, meaning

    def _object(self, page: str, name: str) -> list[str]:
        schema = self._schemas[name]
        fields = schema.get("properties", {})
        lines = [f"## {name}", "", *(line for part in paragraphs(schema.get("description", "")) for line in (part, ""))]
        if base := self._extended(name):
            fields = {one: facts for one, facts in fields.items() if one not in self._schemas[base]["properties"]}
            lines += [f"All that {self._link(page, base)} has, and:", ""]
        if not fields:
            return [*lines, "It has no fields.", ""] if not base else lines
        answer = "additionalProperties" not in schema
        rows = (self._row(page, one, facts, one in schema.get("required", ()), answer) for one, facts in fields.items())
        return [*lines, *table(("field", "type", "means") if answer else ("field", "type", "default", "means"), rows), ""]

    def _row(self, page: str, name: str, schema: Any, required: bool, answer: bool) -> tuple[str, ...]:  # noqa: FBT001 - a row
        if answer:
            return f"`{name}`", self.typed(page, schema), schema.get("description", "")
        return self.field(page, name, schema, required, schema.get("description", ""))

    def _extended(self, name: str) -> str | None:
        """The object that has most of an object's fields, and none besides."""
        mine = self._schemas[name].get("properties", {})
        within = {
            other: len(theirs)
            for other in self._places
            if other != name and len(theirs := self._schemas[other].get("properties", {})) >= _SHARED
            if len(theirs) < len(mine) and all(mine.get(field) == facts for field, facts in theirs.items())
        }
        return max(within, key=lambda other: within[other], default=None)

    def _link(self, page: str, name: str) -> str:
        if name.startswith(PAGE):
            return f"a [page](../api.md#lists) of {self._link(page, name.removeprefix(PAGE).removesuffix('_'))}"
        schema = self._schemas[name]
        if "enum" in schema:
            return typed(schema, str)
        place = self._places[name]
        there = f"{place}-objects" if place in self._moved else place
        return f"[{name}]({'' if there == page else f'{there}.md'}#{anchor(name)})"


def _named(schema: Any) -> Iterator[str]:
    """The names of the objects in a schema."""
    match schema:
        case {"$ref": str(there)}:
            yield there.rpartition("/")[2]
        case dict():
            for one in schema.values():
                yield from _named(one)
        case list():
            for one in schema:
                yield from _named(one)
        case _:
            pass
