"""A stand-in for Claude Code that does what a page has it do: `<!-- agent: COMMANDS -->`."""

import os
import sys
from pathlib import Path
from typing import Final

_PROGRAM: Final = """\
#!{python}
import json, subprocess, sys

if "--version" in sys.argv:
    sys.exit(print("2.1.0 (stand-in)"))


def given(*options):
    return next((sys.argv[sys.argv.index(option) + 1] for option in options if option in sys.argv), None)


session, most = given("--session-id", "--resume"), given("--max-budget-usd")
cost = 0.05 if "--resume" in sys.argv else 0.25
facts = {{"session_id": session, "total_cost_usd": cost, "usage": {{"input_tokens": 1000, "output_tokens": 200}}}}
print(json.dumps({{"type": "system", "subtype": "init", "session_id": session, "model": "opus"}}), flush=True)
hands = subprocess.run(["bash", "-euo", "pipefail", {hands!r}], input=sys.stdin.read(), capture_output=True, text=True)
if most is not None and float(most) < cost:
    end = {{"subtype": "error_max_budget_usd", "is_error": True, "errors": ["Reached the maximum budget of $" + most]}}
else:
    end = {{"subtype": "success", "is_error": False, "result": (hands.stdout + hands.stderr).strip()}}
print(json.dumps({{"type": "result", **end, **facts}}))
sys.exit(end["is_error"])
"""


class Agent:
    """It uses 1,200 tokens for a quarter of a dollar, a fifth of that when it goes on in a session, and heeds `--max-budget-usd`.

    `variables`: the environment in which it is found, alone among agents, with a home of its own.
    """

    def __init__(self, home: Path) -> None:
        self._hands, programs = home / "hands.sh", home / "bin"
        programs.mkdir(parents=True)
        program = programs / "claude"
        program.write_text(_PROGRAM.format(python=sys.executable, hands=str(self._hands)))
        program.chmod(0o755)
        self.does("echo 'All green.'")
        self.variables = {
            "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(home),
            "ORCHESTRATOR_STATE_DIR": str(home / "state"),
        }

    def does(self, commands: str) -> None:
        """From now on: in its directory, with its prompt on standard input; what they print are its last words."""
        self._hands.write_text(commands)
