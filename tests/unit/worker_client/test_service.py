"""The unit file for systemd says what the worker does."""

import configparser
import shlex
from pathlib import Path

from worker_client.cli import main
from worker_client.cli.run import run
from worker_client.crew import Exit
from worker_client.hiring import Wanted
from worker_client.job import STOP_GRACE

UNIT = Path(__file__).parents[3] / "config/orchestrator-worker.service"


def service() -> dict[str, str]:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(UNIT)
    return dict(parsed["Service"])


def test_it_waits_for_what_the_worker_takes_to_end() -> None:
    drains = Wanted.__struct_defaults__[Wanted.__struct_fields__[1:].index("drain_seconds")]
    assert float(service()["TimeoutStopSec"]) >= drains + STOP_GRACE + 15
    assert service()["KillMode"] == "mixed"


def test_it_is_not_started_again_when_that_would_change_nothing() -> None:
    assert service()["Restart"] == "on-failure"
    assert service()["RestartPreventExitStatus"].split() == [f"{Exit.USAGE}", f"{Exit.UNABLE}"]


def test_its_command_is_one() -> None:
    program, command, *options = shlex.split(service()["ExecStart"])
    assert (Path(program).name, main.commands[command]) == ("orchestrator-worker", run)
    run.make_context(command, options)
