"""MCP for coding agents: the tools, resources and prompts, and the two ways to them. Only here is the MCP SDK imported."""
