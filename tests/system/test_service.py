"""The unit file, as systemd reads it."""

import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "config/orchestrator-worker.service"

pytestmark = pytest.mark.system


def test_systemd_has_no_objection(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert "/usr/local/bin/orchestrator-worker" in text
    # It would object to a program and a user that this machine has not.
    unit.write_text(text.replace("/usr/local/bin/orchestrator-worker", sys.executable).replace("User=agents", "User=root"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (verified.returncode, verified.stderr) == (0, "")
