"""What a tool is."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from orchestrator.mcp.arguments import Arguments
from orchestrator.mcp.visit import Visit
from worker_client.contract.enums import Scope

Answered = dict[str, Any]


class Tool(Struct, frozen=True, kw_only=True):
    """One tool: `run` answers with an object; `reads`: it changes nothing, `ends`: it takes something away."""

    name: str
    description: str
    takes: type[Arguments]
    scope: Scope
    run: Callable[[Visit, Any], Awaitable[Answered]]
    reads: bool = False
    ends: bool = False
