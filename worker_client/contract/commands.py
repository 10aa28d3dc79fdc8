"""Commands: named prompt templates, as coding agents have them."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.fields import JsonObject, Text
from worker_client.contract.request import Paged, Request

CommandName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}(/[a-z0-9][a-z0-9-]{0,63}){0,7}$(?!\n)",
        description="lower-case letters, digits and `-`, with `/` for folders, such as `review` or `git/clean-up`",
    ),
]
ArgumentName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$(?!\n)", description="a letter or `_`, then letters, digits, `_` or `-`"),
]
Body = Annotated[str, Meta(min_length=1, max_length=1_000_000)]


class Argument(Request, kw_only=True):
    """A named argument; one without a default is empty when it is not given, unless it is required."""

    name: ArgumentName
    default: str | None = None
    required: bool = False


class CreateCommand(Request, kw_only=True):
    """A prompt with places: `$ARGUMENTS` for all that is given, `$1`, `$2`... by place, `${name}` by name.

    `settings`: what else the front matter of its file says, such as `model`; it is kept as it is.
    """

    name: CommandName
    body: Body
    description: Text = ""
    arguments: Annotated[list[Argument], Meta(max_length=100)] = []
    settings: JsonObject = {}


class UpdateCommand(Request, kw_only=True):
    """What is left out stays."""

    body: Body | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    arguments: Annotated[list[Argument], Meta(max_length=100)] | UnsetType = UNSET
    settings: JsonObject | UnsetType = UNSET


class Command(Struct, kw_only=True):
    """A command as its file has it; `problem`: why it cannot be used."""

    name: str
    description: str
    arguments: list[Argument]
    body: str
    settings: JsonObject
    updated_at: datetime
    problem: str | None = None


class ListCommands(Paged, kw_only=True):
    """A page of commands, by name."""

    q: Annotated[str, Meta(max_length=500)] | None = None
