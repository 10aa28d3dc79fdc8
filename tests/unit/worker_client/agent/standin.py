"""Stands in for an agent's command line: says and does what the steps of a file tell it to, and writes down how it was called.

Run as PROGRAM FOLDER [ARGUMENT ...]; the n-th call follows `FOLDER/n.json`, or the last one there is. `$SESSION` in what it says
is the session that the arguments name.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(folder: Path, arguments: list[str]) -> int:
    calls = folder / "calls.jsonl"
    number = len(calls.read_text().splitlines()) if calls.exists() else 0
    call = {"argv": arguments, "stdin": sys.stdin.read(), "cwd": str(Path.cwd()), "env": dict(os.environ), "pid": os.getpid()}
    with calls.open("a") as file:
        file.write(json.dumps(call) + "\n")
    session = next(
        (two for one, two in zip(arguments, arguments[1:], strict=False) if one in {"--session-id", "--resume"}), "none"
    )
    scripts = sorted((int(path.stem) for path in folder.glob("*.json")), key=lambda n: (n > number, -n))
    for verb, value in json.loads((folder / f"{scripts[0]}.json").read_text()):
        match verb:
            case "say":
                print(json.dumps(value).replace("$SESSION", session), flush=True)
            case "print":
                print(value.replace("$SESSION", session), flush=True)
            case "complain":
                print(value, file=sys.stderr, flush=True)
            case "write":
                Path(value).write_text(f"{os.getpid()}\n")
            case "spawn":
                subprocess.Popen(value, shell=True, start_new_session=True)
            case "sleep":
                time.sleep(value)
            case "exit":
                return int(value)
            case "kill":
                os.kill(os.getpid(), value)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
