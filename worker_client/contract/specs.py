"""`spec` of a task, per kind."""

from typing import Annotated, Literal

from msgspec import Meta, field

from worker_client.contract.fields import Json, JsonObject, Name
from worker_client.contract.request import Request

NonEmpty = Annotated[str, Meta(min_length=1)]


class Budget(Request, kw_only=True):
    """What a task may use."""

    tokens: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    cost_usd: Annotated[float, Meta(ge=0, le=1e9)] | None = None


class AgentSpec(Request, kw_only=True):
    """Which agent works on the prompt, and how its work is checked."""

    agent: Name | None = None
    model: Name | None = None
    session_id: Name | None = None
    verify: NonEmpty | None = None
    budget: Budget | None = None


class ScriptSpec(Request, kw_only=True):
    """A command: a string for a shell, or a list of program and arguments; `args` are appended."""

    command: NonEmpty | Annotated[list[str], Meta(min_length=1)]
    args: list[str] = field(default_factory=list)
    verify: NonEmpty | None = None


class HttpSpec(Request, kw_only=True):
    """A request to send, and what counts as success; `expect_status` any: `expect_text` alone does."""

    url: Annotated[str, Meta(pattern="^https?://", description="an address that begins with http:// or https://")]
    method: Annotated[str, Meta(pattern=r"^[A-Za-z]+$(?!\n)", description="letters only, such as GET")] = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: Json = None
    cookies: dict[str, str] | str | None = None
    proxy: str | None = None
    expect_status: int | list[int] | Literal["any"] | None = None
    expect_text: str | None = None


class FunctionSpec(Request, kw_only=True):
    """A function that the worker offers by name."""

    name: Name
    args: list[Json] = field(default_factory=list)
    kwargs: JsonObject = field(default_factory=dict)


SPECS: dict[str, type[Request]] = {
    "agent": AgentSpec,
    "script": ScriptSpec,
    "http": HttpSpec,
    "function": FunctionSpec,
}
DIRECTORYLESS = frozenset({"http", "function"})
"""Kinds that lease no directory and need no `work_directory`."""
