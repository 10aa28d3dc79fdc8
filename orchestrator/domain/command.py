"""A command as the rules know it."""

from collections.abc import Mapping

from msgspec import Struct

from orchestrator.domain.task import Millis
from worker_client.contract.commands import Argument
from worker_client.contract.fields import JsonObject


class Command(Struct, frozen=True, kw_only=True):
    """A command as its file has it; `problem`: why it cannot be used, `updated_at`: when its file changed."""

    name: str
    body: str = ""
    description: str = ""
    arguments: tuple[Argument, ...] = ()
    settings: JsonObject = {}
    updated_at: Millis = 0
    problem: str | None = None


Commands = Mapping[str, Command]
"""By name."""
