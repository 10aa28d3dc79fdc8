"""The Dockerfile's steps, done in a fresh root; then its server, as an engine runs it: nobody's, on a root that is read-only."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.programs import ADDRESS
from tests.dockerfile import of_image
from tests.image.build import MADE, STRAY, below
from tests.image.run import Container, Network, Running, network, volume

KEY: Final = "0123456789abcdef" * 2
USER: Final = of_image("USER")
VOLUMES: Final = json.loads(of_image("VOLUME"))
SERVE: Final = [*json.loads(of_image("ENTRYPOINT")), *json.loads(of_image("CMD"))]
HEALTHY: Final = json.loads(of_image("HEALTHCHECK").partition("CMD")[2])
TMP: Final = "/tmp"  # noqa: S108 - the container's own
MEGABYTE: Final = 1 << 20

pytestmark = [pytest.mark.system, pytest.mark.timeout(360)]


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


def contained(image: tuple[Path, dict[str, str]], net: Network, folder: Path) -> Container:
    root, variables = image
    volumes = {path: volume(folder, root, path) for path in VOLUMES}
    return Container(root, net, variables, USER, volumes=volumes, tmpfs=[TMP])


def created(where: Container | Running, name: str, *more: str) -> str:
    ran = where.run("orchestrator", "keys", "create", "--name", name, "--scope", "admin", *more)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_its_server_is_well_as_nobody_on_a_read_only_root(
    image: tuple[Path, dict[str, str]], net: Network, tmp_path: Path
) -> None:
    container = contained(image, net, tmp_path / "volumes")
    refused = container.run(*SERVE)
    assert refused.returncode == 2, refused.stderr
    assert "orchestrator keys create" in refused.stderr
    assert "APP_AUTH_BOOTSTRAP_KEY" in refused.stderr
    assert container.run(*HEALTHY).returncode != 0
    before = created(container, "before")

    container.variables = {**container.variables, "APP_AUTH_BOOTSTRAP_KEY": KEY, "APP_LOG_FILE": "/logs/orchestrator.log"}
    with container.started(*SERVE, log=tmp_path / "log") as server:
        said = ADDRESS.search(server.says())
        assert said is not None
        assert said[0].endswith(f":{of_image('EXPOSE')}")
        assert server.run(*HEALTHY).returncode == 0
        url = f"http://127.0.0.1:{of_image('EXPOSE')}"
        for key in (before, created(server, "beside"), KEY):
            added = container.run(
                "orchestrator", "add", "Do it", "--dir", "/srv/shop", ORCHESTRATOR_URL=url, ORCHESTRATOR_API_KEY=key
            )
            assert added.returncode == 0, added.stderr
        assert container.run("orchestrator", "list", ORCHESTRATOR_URL=url).returncode == 6
        user, group = map(int, USER.split(":"))
        assert server.first.uids() == (user,) * 3
        assert server.first.gids() == (group,) * 3
        rights = dict(line.split(":\t", 1) for line in Path(f"/proc/{server.first.pid}/status").read_text().splitlines())
        assert {int(rights[f"Cap{which}"], 16) for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
        assert (rights["NoNewPrivs"], rights["Groups"].strip()) == ("1", "")
        kept = {path.name: path.stat() for folder in container.volumes.values() for path in folder.iterdir()}
        assert {"tasks.db", "orchestrator.log"} <= kept.keys()
        assert {(one.st_uid, one.st_gid) for one in kept.values()} == {(user, group)}
        assert {folder.stat().st_mode & 0o777 for folder in container.volumes.values()} == {0o700}
        assert server.stop() == 0
    for written in (tmp_path / "log", container.volumes["/logs"] / "orchestrator.log"):
        lines = written.read_text().splitlines()
        assert lines
        assert all(json.loads(line) for line in lines)
        assert KEY not in written.read_text()


def test_a_poll_that_is_held_ends_well_when_the_container_is_stopped(
    image: tuple[Path, dict[str, str]], net: Network, tmp_path: Path
) -> None:
    container = contained(image, net, tmp_path / "volumes")
    key = created(container, "me")
    poll = f"http://127.0.0.1:{of_image('EXPOSE')}/api/v1/tasks/next?work_path=/srv/shop&worker_id=w&wait=50"
    asking = [*net.entered, "curl", "-sS", "-w", "%{http_code}", "-H", f"Authorization: Bearer {key}", poll]
    with container.started(*SERVE, log=tmp_path / "log") as server:
        server.says()
        with subprocess.Popen(asking, stdout=subprocess.PIPE, text=True) as asked:
            connected = ["ss", "-Htn", "state", "established", "sport", f"= :{of_image('EXPOSE')}"]
            while not subprocess.run([*net.entered, *connected], capture_output=True, check=True).stdout:
                assert asked.poll() is None
            assert server.stop() == 0
            answer, _ = asked.communicate(timeout=60)
        assert answer[-3:] in {"200", "503"}, answer


def test_nothing_can_be_written_but_volumes(image: tuple[Path, dict[str, str]], net: Network, tmp_path: Path) -> None:
    container = contained(image, net, tmp_path / "volumes")
    script = "for at in $(find / -xdev -type d 2>/dev/null) /dev /proc; do touch $at/mine 2>/dev/null && echo $at; done; true"
    assert set(container.run("sh", "-c", script).stdout.split()) == {*VOLUMES, TMP}
    # Also on a root that can be written it has nothing of its own there: neither the program nor what it is run with.
    root, _ = image
    user, group = map(int, USER.split(":"))
    there = {f"/{path.relative_to(root)}": path.lstat() for path in root.rglob("*") if not path.is_symlink()}
    writable = {path for path, one in there.items() if one.st_uid == user or one.st_gid == group or one.st_mode & 0o002}
    assert {path for path in writable if not path.startswith(("/dev/", f"/var{TMP}", "/run/lock", TMP))} == set(VOLUMES)


def test_nothing_is_in_it_but_the_program(image: tuple[Path, dict[str, str]], net: Network, tmp_path: Path) -> None:
    root, variables = image
    names = {path.name for path in below(root, "/").iterdir()}
    base = {path.name for path in (MADE / "base").iterdir()}
    # The last two are where tests mounted something.
    assert names - base <= {"app", *(path.strip("/") for path in VOLUMES), "wheels", "prometheus"}
    site = next((root / "app/lib").glob("python3.*/site-packages"))
    ours = {str(path.relative_to(site)) for top in ("orchestrator", "worker_client") for path in (site / top).rglob("*")}
    assert {"orchestrator/_data/config/default.toml", "orchestrator/_data/migrations/sqlite/0001_tasks.sql"} & ours
    assert [path for path in ours if "test" in path or path.endswith((".toml.orig", "local.toml"))] == []
    stray = {Path(path).name for path in STRAY}
    assert [path for path in (root / "app").rglob("*") if path.name in stray] == []
    assert [name for name in variables if "PIP" in name or "KEY" in name or "PASSWORD" in name] == []
    container = Container(root, net, variables, USER)
    for program in ("/usr/bin/python", "/app/bin/python"):
        for module in ("pip", "ensurepip", "setuptools", "hatchling", "pytest"):
            ran = container.run(program, "-c", f"import {module}")
            assert (ran.returncode, "ModuleNotFoundError" in ran.stderr) == (1, True), f"{program} has {module}"
    assert container.run("sh", "-c", "command -v pip gcc git").stdout == ""
    assert container.run("orchestrator-worker", "--help").returncode == 0
    container.volumes = {path: volume(tmp_path / "volumes", root, path) for path in VOLUMES}
    assert container.run("orchestrator", "migrate").returncode == 0
    tables = container.run("orchestrator", "db", "tables")
    assert '"tasks"' in tables.stdout, tables.stderr
    added = sum(path.lstat().st_size for path in (root / "app").rglob("*"))
    print(f"\n/app: {added / MEGABYTE:.0f} MB")  # noqa: T201 - how large it is is worth knowing
    assert added < 200 * MEGABYTE
