"""The MCP server itself: what its SDK calls, in the terms of our tools."""

from collections.abc import Callable
from typing import Any, Final

import mcp_types as types
import msgspec
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError

from orchestrator import __version__
from orchestrator.mcp import advising, planning, prompts, resources, scheduling, work
from orchestrator.mcp.arguments import schema_of, taken
from orchestrator.mcp.tool import Answered, Tool
from orchestrator.mcp.visit import Visit
from worker_client.contract.enums import Directive
from worker_client.errors import Forbidden, LeaseLost, OrchestratorError, Retriable

Context = ServerRequestContext[Any, Any]
Found = Callable[[Context], Visit]
TOOLS: Final = {tool.name: tool for tool in (*work.TOOLS, *planning.TOOLS, *advising.TOOLS, *scheduling.TOOLS)}
_SCHEMAS: Final = {name: schema_of(tool.takes) for name, tool in TOOLS.items()}
_ENDING: Final = frozenset({"task_heartbeat", "task_ask", "task_finish"})
"""Those that see to the lease themselves."""
INSTRUCTIONS: Final = """\
Tasks wait here, per directory, for agents that ask for them.
To work: task_next(work_path = the absolute path of your directory, worker_id = one name of your own, always the same), \
do what `prompt` says, task_finish, then task_next again. `task` null: nothing to do; stop, or ask again after retry_after_s.
A task is yours while its lease lasts (lease_s, 15 minutes; every call with `lease` renews it): call task_heartbeat in long \
work and obey `directive`. `prior` tells what earlier attempts said and the answers to questions. With `verify`, that command \
must succeed before you finish with done.
You need a decision: task_ask, and stop when it says parked. LEASE_LOST: the task is no longer yours, change nothing more.
To plan: task_add, one task per piece of work; depends_on orders them, key keeps a repeated call from adding one twice.
To look: task_list, task_get."""
_NEXT: Final = {
    "UNAUTHORIZED": "put a key of this server into the configuration of this MCP server and start again",
    "NOT_FOUND": "look for the right id with task_list",
    "UNREACHABLE": "is `orchestrator serve` running? Try again",
}


def built(visit_of: Found) -> "Server[Any]":
    """A server whose calls are made by the visit that is found for each."""
    spoken = _Spoken(visit_of)
    return Server(
        "orchestrator",
        version=__version__,
        title="Task orchestrator",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=_SCHEMAS.get,
        on_list_tools=spoken.list_tools,
        on_call_tool=spoken.call_tool,
        on_list_resources=spoken.list_resources,
        on_list_resource_templates=spoken.list_templates,
        on_read_resource=spoken.read_resource,
        on_list_prompts=spoken.list_prompts,
        on_get_prompt=spoken.get_prompt,
    )


class _Spoken:
    """What each request of the protocol is answered with."""

    def __init__(self, visit_of: Found) -> None:
        self._visit_of = visit_of

    async def list_tools(self, ctx: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        visit = self._visit_of(ctx)
        await visit.introduce()
        return types.ListToolsResult(tools=[shown(tool) for tool in TOOLS.values() if visit.allows(tool.scope)])

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name[:100]!r}: there are {', '.join(TOOLS)}")
        try:
            return answered(await called(self._visit_of(ctx), tool, params.arguments))
        except OrchestratorError as error:
            return refused(error)

    async def list_resources(self, _ctx: Context, _: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        # Those that there are have a place to be filled in.
        return types.ListResourcesResult(resources=[])

    async def list_templates(self, _ctx: Context, _: types.PaginatedRequestParams | None) -> types.ListResourceTemplatesResult:
        templates = [
            types.ResourceTemplate(name=one.name, uri_template=one.uri, description=one.description, mime_type=one.kind)
            for one in resources.RESOURCES
        ]
        return types.ListResourceTemplatesResult(resource_templates=templates)

    async def read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        try:
            text, kind = await resources.read(self._visit_of(ctx), str(params.uri))
        except OrchestratorError as error:
            raise _unfit(error, uri=str(params.uri)) from None
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, mime_type=kind, text=text)])

    async def list_prompts(self, _ctx: Context, _: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[_prompt(name, prompt) for name, prompt in prompts.PROMPTS.items()])

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        try:
            text = await prompts.written(self._visit_of(ctx), params.name, params.arguments or {})
        except OrchestratorError as error:
            raise _unfit(error) from None
        message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
        return types.GetPromptResult(description=prompts.PROMPTS[params.name].description, messages=[message])


def _unfit(error: OrchestratorError, **facts: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, f"{error.code}: {error.message}", facts or None)


def _prompt(name: str, prompt: prompts.Prompt) -> types.Prompt:
    arguments = [
        types.PromptArgument(name=field, description=told, required=field in prompt.required)
        for field, told in prompt.arguments.items()
    ]
    return types.Prompt(name=name, description=prompt.description, arguments=arguments)


def shown(tool: Tool) -> types.Tool:
    """A tool as it is listed."""
    # Clients take what is not said for the worst, and would have each call allowed by a person.
    if tool.reads:
        hints = types.ToolAnnotations(read_only_hint=True)
    else:
        hints = types.ToolAnnotations(destructive_hint=tool.ends, open_world_hint=False)
    return types.Tool(name=tool.name, description=tool.description, input_schema=_SCHEMAS[tool.name], annotations=hints)


async def called(visit: Visit, tool: Tool, arguments: dict[str, Any] | None) -> Answered:
    """What a tool answers, with a word about the lease that came along. Raises OrchestratorError."""
    given: Any = taken(tool.takes, arguments)
    await visit.introduce()
    if not visit.allows(tool.scope):
        raise Forbidden(f"{tool.name} needs a key with the scope {tool.scope}: ask somebody who has one", scope=str(tool.scope))
    lease = None if tool.name in _ENDING else getattr(given, "lease", None)
    if lease is None:
        return await tool.run(visit, given)
    try:
        renewed = await visit.renew(lease)
        word = None if renewed.directive is Directive.CONTINUE else work.told_of(renewed)
    except LeaseLost as lost:
        # What was asked for has nothing to do with it.
        word = told_lost(lost)
    told = await tool.run(visit, given)
    return {**told, "lease": word} if word else told


def answered(told: Answered) -> types.CallToolResult:
    """The same for programs and as text."""
    plain = msgspec.to_builtins(told)
    text = msgspec.json.encode(plain).decode()
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=plain)


def refused(error: OrchestratorError) -> types.CallToolResult:
    """An error that says what to do next."""
    # The tools say work_path, which is what the API calls the same thing where tasks are claimed.
    message = error.message.replace("work_directory", "work_path")
    if isinstance(error, LeaseLost):
        message = told_lost(error)
    elif isinstance(error, Retriable):
        message = f"{message}; call again in {error.retry_after:g} s"
    elif after := _NEXT.get(error.code):
        message = f"{message}; {after}"
    plain = {"error": {"code": error.code, "message": message}}
    text = types.TextContent(type="text", text=f"{error.code}: {message}")
    return types.CallToolResult(content=[text], structured_content=plain, is_error=True)


def told_lost(lost: LeaseLost) -> str:
    """What to do about a lease that is gone."""
    if lost.reason == "already_applied":
        return f"{lost.message}: this was done already, by an earlier call; go on with task_next"
    return f"{lost.message}: the task is no longer yours; stop working on it, change nothing more, call task_next"
