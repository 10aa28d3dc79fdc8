"""The pods of k8s/, with exactly their commands, variables, users and volumes, in the image's root: one network of containers."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.dockerfile import of_image
from tests.image.run import Container, Network, Running, network
from tests.unit.test_kubernetes import BASE, everything

Image = tuple[Path, dict[str, str]]
COMMAND: Final = [*json.loads(of_image("ENTRYPOINT")), *json.loads(of_image("CMD"))]
SERVICE: Final = "http://task-orchestrator-service"
BOOTSTRAP: Final = "0123456789abcdef" * 4

pytestmark = [pytest.mark.system, pytest.mark.timeout(360)]


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


def pod(image: Image, net: Network, folder: Path, name: str, secrets: dict[str, str]) -> tuple[Container, list[str]]:
    """A pod of a deployment, and what runs in it; claims and emptyDirs are the group's, as `fsGroup` makes them."""
    resources = everything(BASE)
    spec = resources["Deployment", name]["spec"]["template"]["spec"]
    (said,) = spec["containers"]
    root, variables = image
    given = dict(variables)
    for source in said.get("envFrom", []):
        given |= resources["ConfigMap", source["configMapRef"]["name"]]["data"]
    given |= {one["name"]: one["value"] if "value" in one else secrets[one["name"]] for one in said["env"]}
    context = spec["securityContext"]
    volumes = {mount["mountPath"]: folder / name / mount["name"] for mount in said["volumeMounts"]}
    for path in volumes.values():
        path.mkdir(parents=True)
        os.chown(path, 0, context["fsGroup"])
        path.chmod(0o2775)
    user = f"{context['runAsUser']}:{context['runAsGroup']}"
    return Container(root, net, given, user, volumes=volumes), [*said.get("command", COMMAND), *said.get("args", [])]


def probed(server: Running, kind: str) -> int:
    """The status that a probe of the pod gets."""
    (said,) = everything(BASE)["Deployment", "task-orchestrator"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in said["ports"]}
    asked = said[kind]["httpGet"]
    url = f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}"
    script = f"import urllib.request as u; print(u.urlopen({url!r}).status)"
    ran = server.run("python", "-c", script)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


def test_a_server_and_a_worker_in_their_pods(image: Image, net: Network, tmp_path: Path) -> None:
    server, serve = pod(image, net, tmp_path, "task-orchestrator", {"APP_AUTH_BOOTSTRAP_KEY": BOOTSTRAP})
    with server.started(*serve, log=tmp_path / "server.log") as serving:
        serving.says()
        assert [probed(serving, kind) for kind in ("startupProbe", "livenessProbe", "readinessProbe")] == [200] * 3
        keyed = serving.run(
            "orchestrator", "keys", "create", "--name", "worker", "--scope", "work", "--scope", "read", "--path", "/srv/**"
        )
        assert keyed.returncode == 0, keyed.stderr
        worker, work = pod(image, net, tmp_path, "task-orchestrator-worker", {"ORCHESTRATOR_API_KEY": keyed.stdout.strip()})
        assert worker.variables["ORCHESTRATOR_URL"] == SERVICE
        # The service's name and port 80 are the cluster's to give.
        worker.variables = {**worker.variables, "ORCHESTRATOR_URL": f"http://127.0.0.1:{of_image('EXPOSE')}"}
        shop = worker.volumes["/srv"] / "shop"
        shop.mkdir()
        os.chown(shop, 10001, 10001)
        adding = ["orchestrator", "add", "--command", "echo done > it", "--dir", "/srv/shop", "--host", "kubernetes", "--wait"]
        with worker.started(*work, log=tmp_path / "worker.log") as working:
            added = serving.run(*adding, ORCHESTRATOR_API_KEY=BOOTSTRAP)
            assert added.returncode == 0, added.stdout + added.stderr + working.log.read_text()
            assert (shop / "it").read_text() == "done\n"
            assert working.stop() == 0
        assert {path.name for path in (worker.volumes["/srv"] / ".home/state").iterdir()} == {"locks", "sessions", "worktrees"}
        assert serving.stop() == 0
    assert (server.volumes["/data"] / "tasks.db").exists()
