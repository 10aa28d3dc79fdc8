"""What goes wrong where agents are run unattended; each test is named after the failure.

Limits that cost attempts are in test_leases.py, worktrees in test_worktrees.py, trees that outlive their worker in
tests/acceptance/test_agents.py.
"""

import pytest

from tests.unit.worker_client.agent.streams import ASSIGNMENT, STREAMS, recorded, replayed
from worker_client.contract.enums import LogStream
from worker_client.processes import Ended
from worker_client.runners.agent.known import KNOWN
from worker_client.runners.agent.protocol import Class
from worker_client.runners.agent.settings import AgentSettings

LIMITED = [(path.parent.name, path.stem) for path in sorted(STREAMS.glob("*/limited*.jsonl"))]
WHOLE = [(path.parent.name, path.stem) for path in sorted(STREAMS.glob("*/tools.jsonl"))]


@pytest.mark.parametrize(("program", "case"), LIMITED)
def test_a_quota_stop_is_not_done(program: str, case: str) -> None:
    """An agent's quota stop is marked Done: claude-code-studio#27."""
    assert replayed(KNOWN[program], case)[2].outcome is Class.QUOTA
    # Whatever code it ends with.
    reader, _, _ = replayed(KNOWN[program], case)
    assert reader.verdict(Ended(0, None, 0.0, 0)).outcome is not Class.DONE


@pytest.mark.parametrize(("program", "case"), WHOLE)
def test_an_exit_code_of_0_is_not_done(program: str, case: str) -> None:
    """An agent that is interrupted exits with 0 and has not said that it is done."""
    lines, _ = recorded(program, case)
    reader = KNOWN[program].reader(ASSIGNMENT, AgentSettings())
    outcomes = []
    for stream, text in [(LogStream.STDERR, ""), *lines]:
        reader.line(text, stream)
        outcomes.append(reader.verdict(Ended(0, None, 0.0, 0)).outcome)
    assert outcomes[-1] is Class.DONE
    assert Class.DONE not in outcomes[: len(outcomes) // 2]
