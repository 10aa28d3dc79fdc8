"""Writes docs/reference/mcp.md from the tools, resources and prompts of the MCP server: `python -m docs`."""

from collections.abc import Mapping
from typing import Any, Final

from docs.writing import table
from orchestrator.mcp.prompts import PROMPTS, Prompt
from orchestrator.mcp.resources import RESOURCES
from orchestrator.mcp.server import INSTRUCTIONS, TOOLS
from orchestrator.mcp.server import shown as as_sent
from orchestrator.mcp.tool import Tool

INTRODUCTION: Final = """\
# Tools of MCP

<!-- Written by docs/reference/mcp.py from orchestrator/mcp; a test compares them. -->

[MCP](../mcp.md) says how agents are connected. A key is shown the tools that its scopes allow. What is refused comes back as an
error of the tool, with the [code](errors.md) first.

"""


def pages() -> Mapping[str, str]:
    """The page by its place below docs/reference."""
    lines = [line for tool in TOOLS.values() for line in _tool(tool)]
    lines += ["## Resources", "", *table(("address", "is"), ((f"`{one.uri}`", one.description) for one in RESOURCES)), ""]
    lines += ["## Prompts", ""]
    lines += [line for name, prompt in PROMPTS.items() for line in _prompt(name, prompt)]
    lines += ["## Instructions", "", "What every client is told when it connects:", "", "```text", INSTRUCTIONS, "```", ""]
    return {"mcp.md": INTRODUCTION + "\n".join(lines)}


def _tool(tool: Tool) -> list[str]:
    schema: dict[str, Any] = as_sent(tool).input_schema
    required = schema.get("required", ())
    rows = [
        (f"`{name}`", _type(facts), "yes" if name in required else "", facts.get("description", ""))
        for name, facts in schema["properties"].items()
    ]
    changes = "It changes nothing." if tool.reads else "It takes something away." if tool.ends else ""
    told = [*tool.description.splitlines(), "", f"Scope `{tool.scope}`. {changes}".strip(), ""]
    arguments = table(("argument", "type", "needed", "means"), rows) if rows else ["It takes no arguments."]
    return [f"## {tool.name}", "", *told, *arguments, ""]


def _type(facts: Mapping[str, Any]) -> str:
    if "enum" in facts:
        return ", ".join(f"`{one}`" for one in facts["enum"])
    kind = facts.get("type", "any JSON")
    if kind == "array":
        return f"list of {_type(facts.get('items', {}))}"
    return " or ".join(kind) if isinstance(kind, list) else kind


def _prompt(name: str, prompt: Prompt) -> list[str]:
    rows = [(f"`{one}`", "yes" if one in prompt.required else "", told) for one, told in prompt.arguments.items()]
    return [f"### {name}", "", f"{prompt.description}.", "", *table(("argument", "needed", "means"), rows), ""]
