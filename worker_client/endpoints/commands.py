"""Commands: named prompt templates."""

from worker_client.contract import commands
from worker_client.contract.envelope import Page
from worker_client.endpoints.call import API, Call, Repeat, named, post, read


def list_commands(query: commands.ListCommands) -> Call[Page[commands.Command]]:
    """A page of commands, by name."""
    return read(f"{API}/commands", Page[commands.Command], query)


def create_command(body: commands.CreateCommand) -> Call[commands.Command]:
    """Create a command."""
    return post(f"{API}/commands", commands.Command, body)


def get_command(name: str) -> Call[commands.Command]:
    """A command."""
    return read(_command(name), commands.Command)


def update_command(name: str, body: commands.UpdateCommand) -> Call[commands.Command]:
    """Change a command; what is left out stays."""
    return Call(method="PUT", path=_command(name), returns=commands.Command, body=body, repeat=Repeat.SAFE)


def delete_command(name: str) -> Call[None]:
    """Delete a command."""
    return Call(method="DELETE", path=_command(name), returns=None)


def _command(name: str) -> str:
    return f"{API}/commands/{named(name, safe='/')}"
