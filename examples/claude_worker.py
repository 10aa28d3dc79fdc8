"""What `orchestrator-worker run --agent claude --worktree` does, in a program of your own.

    python examples/claude_worker.py ~/src/shop

Claude Code works in a git worktree and branch per task. Its account is at its limit: its tasks wait for the reset. It asks: the
task waits for `orchestrator answer`. It says it is done: the task's `verify` has to pass. See docs/agents.md.
"""

import logging
import sys
from pathlib import Path

from worker_client import Crew, Shift, Wanted, hire


def main(*directories: str) -> int:
    """Work until SIGTERM; 3 when Claude Code is missing or not logged in."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    wanted = Wanted(
        directories=tuple(Path(directory).expanduser() for directory in directories),
        agents=("claude",),
        worktree=True,
        concurrency=3,
        stall_seconds=900,
    )
    shift = Shift()
    return Crew(hire(wanted, shift), shift).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
