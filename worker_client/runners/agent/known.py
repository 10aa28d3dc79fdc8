"""The agents that can be named: a new one is a module beside this one, and a line here."""

from typing import Final

from worker_client.runners.agent.claude import Claude
from worker_client.runners.agent.protocol import Agents

KNOWN: Final[Agents] = {agent.name: agent for agent in (Claude(),)}
"""By name."""
