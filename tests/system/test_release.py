"""`make release`, in a checkout of its own."""

import hashlib
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release import readiness
from tests.installed import checkout, commit

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A checkout of a version that is to be released."""
    root = checkout(tmp_path / "checkout")
    version, log = root / "orchestrator/__init__.py", root / "CHANGELOG.md"
    version.write_text(re.sub(r'__version__ = ".+"', '__version__ = "999.0.0"', version.read_text()))
    heading = f"## [Unreleased]\n\n## [999.0.0] - {datetime.now(UTC).date()}\n\n### Changed\n\n- Everything.\n"
    log.write_text(log.read_text().replace("## [Unreleased]\n", heading))
    (tag,) = re.findall(r'image\.version="(.+?)"', (root / "Dockerfile").read_text())
    for file in readiness.images(root):
        file.write_text(file.read_text().replace(tag, "999.0.0"))
    commit(root)
    return root


def released(root: Path, only: str) -> subprocess.CompletedProcess[str]:
    """Of the trials only some, for all of them are run anyhow; who asks for another machine gets no answer."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    own = {"no_proxy": "127.0.0.1", "PYTHONPATH": str(root), "PYTEST_ADDOPTS": f"-k '{only}'"}
    line = [sys.executable, "-m", "release"]
    return subprocess.run(line, cwd=root, env={**os.environ, **nowhere, **own}, capture_output=True, text=True, check=False)


def test_a_release_is_built_and_checked_without_a_network(ready: Path) -> None:
    ran = released(ready, "tasks_are_added or git_has")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "git tag -a v999.0.0 -m 999.0.0" in ran.stdout
    listed = (line.split("  ") for line in (ready / "dist/SHA256SUMS").read_text().splitlines())
    sums = {name: digest for digest, name in listed}
    assert sorted(sums) == ["task_orchestrator-999.0.0-py3-none-any.whl", "task_orchestrator-999.0.0.tar.gz"]
    assert sums == {name: hashlib.sha256((ready / "dist" / name).read_bytes()).hexdigest() for name in sums}


def test_one_that_does_not_work_when_it_is_installed_is_refused(ready: Path) -> None:
    # It would work from a checkout.
    pyproject = ready / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('"migrations" = "orchestrator/_data/migrations"\n', ""))
    commit(ready)
    ran = released(ready, "tasks_are_added")
    assert ran.returncode == 1
    assert "installed alone, it does not work" in ran.stderr
    assert not (ready / "dist/SHA256SUMS").exists()
