"""A stand-in for Claude Code on PATH, that says what a test has it say."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

BEGIN: Final = {"type": "system", "subtype": "init", "session_id": "$SESSION", "model": "claude-test"}
PROGRAM: Final = """\
#!{python}
import json, os, sys

if "--version" in sys.argv:
    sys.exit(print("2.1.0 (stand-in)"))
call = {{"argv": sys.argv[1:], "stdin": sys.stdin.read(), "cwd": os.getcwd(), "env": dict(os.environ)}}
with open({calls!r}, "a") as file:
    file.write(json.dumps(call) + "\\n")
told = "--session-id" if "--session-id" in sys.argv else "--resume"
session = sys.argv[sys.argv.index(told) + 1]
for line in {said!r}:
    print(line.replace("$SESSION", session), flush=True)
sys.exit({code})
"""


def done(text: str = "All green.") -> dict[str, Any]:
    """It ends well."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    facts = {"result": text, "session_id": "$SESSION", "total_cost_usd": 0.25, "usage": usage}
    return {"type": "result", "subtype": "success", "is_error": False, **facts}


def refused(text: str = "Not logged in · Please run /login") -> dict[str, Any]:
    """It can't work at all."""
    return {"type": "result", "subtype": "success", "is_error": True, "result": text, "session_id": "$SESSION"}


class Claude:
    """`variables`: the environment in which it is found, alone among agents, with a home of its own."""

    def __init__(self, folder: Path, *events: dict[str, Any], code: int = 0) -> None:
        self._calls, programs = folder / "calls.jsonl", folder / "bin"
        programs.mkdir(parents=True)
        program, said = programs / "claude", [json.dumps(event) for event in (BEGIN, *events)]
        program.write_text(PROGRAM.format(python=sys.executable, calls=str(self._calls), said=said, code=code))
        program.chmod(0o755)
        self.variables = {
            "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(folder),
            "ORCHESTRATOR_STATE_DIR": str(folder / "state"),
        }

    def calls(self) -> list[dict[str, Any]]:
        """How it was called to work."""
        return [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []
