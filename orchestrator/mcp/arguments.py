"""What tools take: Structs, and their JSON Schema in as few words as models need."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from worker_client.errors import ValidationFailed

A = TypeVar("A", bound=Struct)
Schema = dict[str, Any]


class Arguments(Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of the arguments of a tool."""


def schema_of(kind: type[Arguments]) -> Schema:
    """The JSON Schema of a tool's arguments, without titles, defaults and what clients check no better than the server."""
    _, components = msgspec.json.schema_components([kind])
    whole = components[kind.__name__]
    fields = {name: _plain(field, components) for name, field in whole["properties"].items()}
    required = whole.get("required", [])
    return {"type": "object", "properties": fields, **({"required": required} if required else {})}


def _plain(field: Schema, components: dict[str, Schema]) -> Schema:
    """One field: what it may be when it is given."""
    told = {name: value for name, value in field.items() if name not in {"anyOf", "default", "$ref", "minimum", "maximum"}}
    if "$ref" in field:
        named = components[field["$ref"].rpartition("/")[2]]
        return {**told, "enum": named["enum"]}
    choices = [one for one in field.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) > 1:
        return {"type": [one["type"] for one in choices], **told}
    return {**_plain(choices[0], components), **told} if choices else told


def taken(kind: type[A], given: Any) -> A:
    """The arguments that a client sent. Raises ValidationFailed with the name of the wrong one."""
    try:
        return msgspec.convert({} if given is None else given, kind)
    except msgspec.ValidationError as error:
        told, _, where = str(error).partition(" - at `")
        field = where.removesuffix("`").removeprefix("$.")
        known = ", ".join(kind.__struct_fields__)
        message = f"`{field}`: {told}" if field else told
        raise ValidationFailed(f"{message}; the arguments are: {known}", field=field) from None
