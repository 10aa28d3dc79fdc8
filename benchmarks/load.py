"""`make load`: Locust's mixed traffic against a server of its own; fails on any error."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import servers


def main() -> int:
    parser = argparse.ArgumentParser(prog="make load")
    parser.add_argument("--locust", default="locust", help="the program")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orchestrator-load-") as name:
        with servers.orchestrator(Path(name), pinned=False) as (host, port):
            command = [
                options.locust,
                "--headless",
                *("--locustfile", str(Path(__file__).with_name("locustfile.py"))),
                *("--host", f"http://{host}:{port}"),
                *("--users", str(options.users), "--spawn-rate", "20"),
                *("--run-time", f"{options.seconds}s", "--stop-timeout", "30"),
                *("--exit-code-on-error", "1", "--only-summary", "--loglevel", "WARNING"),
            ]
            failed = subprocess.run(command, check=False).returncode
        errors = [line for line in (Path(name) / "server.log").read_text().splitlines() if '"level":"error"' in line]
    print(*errors[:20], sep="\n")
    return failed or (1 if errors else 0)


sys.exit(main())
