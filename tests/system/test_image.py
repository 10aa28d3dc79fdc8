"""The Dockerfile's steps, without Docker: its commands, then its server as a stranger on a file system that is read-only."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.programs import ADDRESS, end, environment
from tests.dockerfile import ROOT, building, of_image
from tests.dockerfile import environment as variables

KEY: Final = "0123456789abcdef" * 2
GUIDE: Final = ROOT / "docs/deploying.md"
RUN: Final = re.compile(r"<!-- run -->\n```sh\n(.*?)```", re.DOTALL)
# Like a container's: nothing but the volume can be written, and nobody has rights.
CONTAINED: Final = """
    mount --bind "$1" "$1" && mount -o remount,ro,bind / && shift &&
    exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all -- "$@"
"""

pytestmark = [pytest.mark.system, pytest.mark.timeout(360)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """In place of a container's root; others may look into it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def programs(folder: Path) -> Path:
    """`python` and `pip`, as in the image that it is built from; a python that every user can read, where there is one."""
    system = Path("/usr/bin/python3")
    version = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    same = system.exists() and subprocess.run([system, "-c", version], check=False).returncode == 0
    found = {"python": shlex.quote(str(system if same else sys.executable)), "pip": f"{shlex.quote(sys.executable)} -m pip"}
    folder.mkdir()
    for name, line in found.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def build(folder: Path) -> None:
    """Do what the first stage says, below a folder."""

    def placed(text: str) -> str:
        return re.sub(r"(?<![\w./])/(?=(?:build|app)\b)", f"{folder}/", text)

    said = environment(PATH=f"{programs(folder / 'bin')}{os.pathsep}{os.environ['PATH']}", PIP_QUIET="1")
    here = folder
    for name, arguments in building():
        match name:
            case "ENV":
                said |= variables(placed(arguments))
            case "WORKDIR":
                here = Path(placed(arguments))
                here.mkdir()
            case "COPY":
                *sources, target = shlex.split(arguments)
                for source in sources:
                    copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                    copy(ROOT / source, here / target)
            case "RUN":
                ran = subprocess.run(
                    ["sh", "-c", placed(arguments)], cwd=here, env=said, capture_output=True, text=True, check=False
                )
                assert ran.returncode == 0, f"{arguments}\n{ran.stdout}\n{ran.stderr}"
            case other:
                pytest.fail(f"this test does not know {other}")


def test_the_image_is_built_and_its_server_runs_as_nobody_on_a_read_only_root(folder: Path) -> None:
    build(folder)
    data = folder / "data"
    data.mkdir()
    port = free_port()
    said = variables(of_image("ENV").replace("/app/", f"{folder}/app/").replace("sqlite:////data/", f"sqlite:///{data}/"))
    said = environment(**said | {"PATH": said["PATH"].replace("$PATH", os.environ["PATH"]), "APP_SERVER_PORT": str(port)})
    said.pop("PYTHONPATH")
    contained: list[str] = []
    check = json.loads(of_image("HEALTHCHECK").partition("CMD")[2])
    root = os.geteuid() == 0
    if root:
        os.chown(data, 10001, 10001)
        contained = ["unshare", "--mount", "sh", "-c", CONTAINED, "sh", str(data)]
    program = [*contained, *json.loads(of_image("ENTRYPOINT"))]
    command = [*program, *json.loads(of_image("CMD"))]

    def run(*line: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(line, cwd="/", env=said | more, capture_output=True, text=True, timeout=60, check=False)

    def created(name: str) -> str:
        ran = run(*program, "keys", "create", "--name", name, "--scope", "admin")
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    refused = run(*command)
    assert refused.returncode == 2, refused.stderr
    assert "orchestrator keys create" in refused.stderr
    assert "APP_AUTH_BOOTSTRAP_KEY" in refused.stderr
    assert run(*check).returncode != 0
    before = created("before")

    with (folder / "log").open("w+") as log:
        bootstrap = {"APP_AUTH_BOOTSTRAP_KEY": KEY}
        process = subprocess.Popen(command, cwd="/", env=said | bootstrap, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            assert ADDRESS.search(process.stdout.readline()), (folder / "log").read_text()
            assert run(*check).returncode == 0
            url = f"http://127.0.0.1:{port}"
            for key in (before, created("beside"), KEY):
                added = run("orchestrator", "add", "Do it", "--dir", "/srv/shop", ORCHESTRATOR_URL=url, ORCHESTRATOR_API_KEY=key)
                assert added.returncode == 0, added.stderr
            assert run("orchestrator", "list", ORCHESTRATOR_URL=url).returncode == 6
            if root:
                owner = Path(f"/proc/{process.pid}").stat().st_uid
                assert owner == (data / "tasks.db").stat().st_uid == 10001
            assert end(process) == 0
        finally:
            end(process)
            if process.stdout is not None:
                process.stdout.close()
    assert all(json.loads(line) for line in (folder / "log").read_text().splitlines())


def test_what_the_guide_says_about_the_key_works(tmp_path: Path) -> None:
    (block,) = RUN.findall(GUIDE.read_text(encoding="utf-8"))
    port = str(free_port())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = environment(APP_SERVER_PORT=port, ORCHESTRATOR_URL=f"http://127.0.0.1:{port}", PATH=path)
    script = f"trap 'kill $!; wait' EXIT\n{block}"
    program = ["bash", "-euo", "pipefail", "-c", script]
    ran = subprocess.run(program, cwd=tmp_path, env=said, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "data/tasks.db").exists()
