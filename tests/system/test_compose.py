"""What docker-compose.yml starts, with exactly its commands, variables, users and mounts, in one network."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tests.acceptance.programs import until
from tests.compose import ROOT, compose, mounts, service
from tests.dockerfile import of_image
from tests.image.run import Container, Network, network, volume
from tests.postgres import own_server

Image = tuple[Path, dict[str, str]]
SERVE: Final = [*json.loads(of_image("ENTRYPOINT")), *json.loads(of_image("CMD"))]
# The second is PostgreSQL's; Grafana comes as an image of others, which is not here.
NAMES: Final = ["task-orchestrator", "postgres"]

pytestmark = [pytest.mark.system, pytest.mark.timeout(360)]


@pytest.fixture
def net() -> Iterator[Network]:
    """A network with an engine's resolver."""
    with network() as made, beside(made, "names.py", *NAMES):
        yield made


@contextlib.contextmanager
def beside(net: Network, script: str, *arguments: str) -> Iterator[None]:
    """A script of tests/image that runs in a network."""
    line = [*net.entered, sys.executable, str(ROOT / "tests/image" / script), *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield
        finally:
            process.kill()


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def contained(image: Image, net: Network, folder: Path, said: dict[str, Any], **files: Path) -> Container:
    """A service's container; where it mounts files of this repository they are these, and its secrets are in `folder`."""
    root, variables = image
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    read = {target: ROOT / source for target, (source, read_only) in mounts(said).items() if read_only}
    read |= {f"/run/secrets/{name}": folder / compose()["secrets"][name]["file"] for name in said.get("secrets", [])}
    kept = {target: files.get(source) for target, (source, read_only) in mounts(said).items() if not read_only}
    return Container(
        root,
        net,
        {**variables, **said.get("environment", {})},
        said.get("user", of_image("USER")),
        volumes={target: source or volume(folder / "volumes", root, target) for target, source in kept.items()},
        files={**read, "/etc/resolv.conf": folder / "resolv.conf"},
        tmpfs=said.get("tmpfs", []),
    )


def key(of: Container, *options: str) -> str:
    made = of.run("orchestrator", "keys", "create", *options)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_a_worker_runs_scripts_in_a_folder_of_the_host(image: Image, net: Network, tmp_path: Path) -> None:
    ours = tmp_path / "srv"
    (ours / "shop").mkdir(parents=True)
    for path in (ours, ours / "shop"):
        os.chown(path, 1000, 1000)
    server = contained(image, net, tmp_path, service("task-orchestrator"))
    me = key(server, "--name", "me", "--scope", "admin")
    workers = key(server, "--name", "worker", "--scope", "work", "--scope", "read", "--path", "/srv/**")
    said = service("worker", WORKER_KEY=workers, WORKER_USER="1000:1000")
    worker = contained(image, net, tmp_path, said, **{"./srv": ours})
    adding = ["orchestrator", "add", "--command", "id -u > today; sleep 0.1", "--dir", "/srv/shop", "--host", "compose", "--wait"]
    with (
        worker.started(*said["entrypoint"], *said["command"], log=tmp_path / "worker.log") as working,
        server.started(*SERVE, log=tmp_path / "server.log") as running,
    ):
        running.says()
        added = running.run(*adding, ORCHESTRATOR_API_KEY=me)
        assert added.returncode == 0, added.stdout + added.stderr + working.log.read_text()
        assert (ours / "shop/today").read_text() == "1000\n"
        assert (ours / "shop/today").stat().st_uid == 1000
        assert working.stop() == 0
        assert running.stop() == 0
    assert [line for line in working.log.read_text().splitlines() if json.loads(line)["level"] not in ("info", "warning")] == []


def test_a_replica_keeps_nothing_but_in_postgresql(image: Image, net: Network, tmp_path: Path, public: Path) -> None:
    folder, sockets = (Path(tempfile.mkdtemp(dir=public)) for _ in range(2))
    sockets.chmod(0o777)
    database = service("postgres")["environment"]
    said = service("replica", POSTGRES_PASSWORD="word", APP_SECRETS_KEY="x" * 64)
    with own_server(folder, f"unix_socket_directories={sockets}", durable=False) as postgres:
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {database['POSTGRES_USER']} LOGIN PASSWORD 'word'")
            connection.execute(f"CREATE DATABASE {database['POSTGRES_DB']} OWNER {database['POSTGRES_USER']}")
        replica = contained(image, net, tmp_path, said)
        with beside(net, "relay.py", "5432", f"{sockets}/.s.PGSQL.{postgres.port}"):
            me = key(replica, "--name", "me", "--scope", "admin")
            with replica.started(*SERVE, log=tmp_path / "replica.log") as running:
                running.says()
                assert running.run(*json.loads(of_image("HEALTHCHECK").partition("CMD")[2])).returncode == 0
                added = running.run("orchestrator", "add", "Do it", "--dir", "/srv/shop", ORCHESTRATOR_API_KEY=me)
                assert added.returncode == 0, added.stderr
                kept = running.run("find", "/data", "/logs", "-type", "f")
                assert (kept.returncode, kept.stdout) == (0, "")
                assert running.stop() == 0
        url = postgres.url(database["POSTGRES_DB"])
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (1,)


def test_prometheus_has_the_server_by_its_key(image: Image, net: Network, tmp_path: Path) -> None:
    server = contained(image, net, tmp_path, service("task-orchestrator"))
    said = service("prometheus")
    secret = tmp_path / compose()["secrets"]["prometheus_key"]["file"]
    secret.parent.mkdir()
    secret.parent.chmod(0o700)
    secret.write_text(key(server, "--name", "prometheus", "--scope", "read") + "\n")
    secret.chmod(0o644)
    kept = tmp_path / "prometheus"
    kept.mkdir()
    os.chown(kept, *map(int, said["user"].split(":")))
    watching = contained(image, net, tmp_path, said, prometheus=kept)
    program = shutil.which("prometheus")
    assert program is not None
    watching.files = {**watching.files, "/bin/prometheus": Path(program)}

    def asked(what: str) -> Any:
        port = said["ports"][0].rpartition(":")[2]
        line = [*net.entered, "curl", "-sS", f"http://127.0.0.1:{port}/api/v1/{what}"]
        ran = subprocess.run(line, capture_output=True, text=True, check=False)
        return json.loads(ran.stdout)["data"] if ran.returncode == 0 and ran.stdout.startswith("{") else {}

    with (
        server.started(*SERVE, log=tmp_path / "server.log") as running,
        watching.started("/bin/prometheus", *said["command"], log=tmp_path / "prometheus.log"),
    ):
        running.says()
        until(lambda: asked("query?query=orchestrator_info").get("result"))
        (target,) = asked("targets")["activeTargets"]
        assert (target["health"], target["labels"]["job"], target["lastError"]) == ("up", "orchestrator", "")
        rules = asked("rules")["groups"][0]["rules"]
        assert len(rules) > 10
        assert [rule["name"] for rule in rules if rule["health"] == "err" or rule["state"] == "firing"] == []
