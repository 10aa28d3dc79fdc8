"""Stands in for an agent's command line: says and does what the steps of a file tell it to, and writes down how it was called.

Run as PROGRAM FOLDER [ARGUMENT ...]; the n-th call, counted from 0, follows `FOLDER/n.json`, or the last one before it that there
is. `$SESSION` in what it says is the session that the arguments name.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO


def main(folder: Path, arguments: list[str]) -> int:
    calls = folder / "calls.jsonl"
    number = len(calls.read_text().splitlines()) if calls.exists() else 0
    call = {"argv": arguments, "stdin": sys.stdin.read(), "cwd": str(Path.cwd()), "env": dict(os.environ), "pid": os.getpid()}
    with calls.open("a") as file:
        file.write(json.dumps(call) + "\n")
    session = next((value for name, value in itertools.pairwise(arguments) if name in {"--session-id", "--resume"}), "none")
    last = max(int(path.stem) for path in folder.glob("*.json") if int(path.stem) <= number)
    for verb, value in json.loads((folder / f"{last}.json").read_text()):
        if verb == "exit":
            return int(value)
        act(verb, value, session)
    return 0


def act(verb: str, value: Any, session: str) -> None:
    match verb:
        case "say":
            tell(sys.stdout, value if isinstance(value, str) else json.dumps(value), session)
        case "complain":
            tell(sys.stderr, value, session)
        case "write":
            Path(value).write_text(f"{os.getpid()}\n")
        case "wait":
            while not Path(value).exists():
                time.sleep(0.01)
        case "spawn":
            subprocess.Popen(["/bin/sh", "-c", value], start_new_session=True)
        case "sleep":
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(value)
        case "kill":
            os.kill(os.getpid(), value)
        case "deafen":
            signal.signal(value, signal.SIG_IGN)


def tell(stream: TextIO, text: str, session: str) -> None:
    soon = str(int(time.time()) + 3)
    stream.write(text.replace("$SESSION", session).replace('"$SOON"', soon) + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
