"""Where a worker keeps what outlives it."""

import os
from pathlib import Path

import pytest

from worker_client.errors import ConfigurationError
from worker_client.state import PARTS, state_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of files")


def test_which_folder(tmp_path: Path) -> None:
    home, named, xdg = (tmp_path / name for name in ("home", "named", "xdg"))
    environ = {"HOME": str(home), "XDG_STATE_HOME": str(xdg), "ORCHESTRATOR_STATE_DIR": str(named)}
    assert state_folder(environ) == named
    del environ["ORCHESTRATOR_STATE_DIR"]
    assert state_folder(environ) == xdg / "task-orchestrator"
    assert state_folder(environ | {"XDG_STATE_HOME": "relative"}) == home / ".local/state/task-orchestrator"
    assert state_folder({"HOME": str(home)}) == home / ".local/state/task-orchestrator"


def test_it_is_for_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o755)
    (tmp_path / "s/locks").mkdir(mode=0o777)
    (tmp_path / "link").symlink_to("s")
    folder = state_folder({"ORCHESTRATOR_STATE_DIR": str(tmp_path / "link")})
    assert folder == tmp_path / "s"
    assert {path.name for path in folder.iterdir()} == set(PARTS)
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {0o700}


def test_what_can_not_be_made_is_said_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigurationError, match=r"/file/s can't be used: Not a directory: .*; name another one in ORCHESTRATOR_S"
    ):
        state_folder({"ORCHESTRATOR_STATE_DIR": str(tmp_path / "file/s")})
    with pytest.raises(ConfigurationError, match="no HOME"):
        state_folder({})
