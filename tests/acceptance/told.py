"""Commands within this process: starting a program for each takes longer than what it does."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from orchestrator.cli import main
from tests.acceptance.programs import Server


class Told:
    """Runs commands that talk to a server."""

    def __init__(self, server: Server) -> None:
        self._variables = {**server.variables, "NO_COLOR": "1", "COLUMNS": "300"}

    def __call__(self, *arguments: str | Path, code: int = 0, given: str | None = None) -> str:
        """What a command prints, in which case it ends with `code`; what it says when it is refused."""
        result = self._ran(*arguments, given=given)
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result.stdout if code in {0, 8} else result.stderr

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """What a command prints with --json."""
        result = self._ran(*arguments, "--json")
        assert result.exit_code == code, (arguments, result.output, result.exception)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return lines[0] if len(lines) == 1 else lines

    def _ran(self, *arguments: str | Path, given: str | None = None) -> Result:
        return CliRunner(env=self._variables).invoke(main, [str(one) for one in arguments], input=given, prog_name="orchestrator")
