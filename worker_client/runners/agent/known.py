"""The agents that can be named: a new one is a module beside this one, and a line here."""

from typing import Final

from worker_client.errors import ConfigurationError
from worker_client.runners.agent.claude import Claude
from worker_client.runners.agent.codex import Codex
from worker_client.runners.agent.custom import PRESETS, Custom
from worker_client.runners.agent.gemini import Gemini
from worker_client.runners.agent.opencode import OpenCode
from worker_client.runners.agent.protocol import Agent, Agents
from worker_client.runners.agent.settings import AgentSettings, WorkerSettings

KNOWN: Final[Agents] = {agent.name: agent for agent in (Claude(), Codex(), OpenCode(), Gemini())}
"""By name."""


def agent_named(name: str, settings: WorkerSettings) -> Agent:
    """A known agent, one that the settings describe, or a preset; raises ConfigurationError."""
    own = settings.agents.get(name)
    if own is not None and (own.command is not None or own.preset is not None):
        return Custom(name, own)
    if name in KNOWN:
        return KNOWN[name]
    if name in PRESETS:
        return Custom(name, AgentSettings(preset=name))
    known = ", ".join([*KNOWN, *PRESETS])
    raise ConfigurationError(f"no agent is called {name}: there are {known}, and those that the settings have a `command` for")
