"""The image, Compose and Kubernetes: each file is valid, and what they say of each other and of the program is true."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from orchestrator.http.server import _DRAIN_S
from orchestrator.http.visitors import PROBES
from orchestrator.settings import PREFIX, SECTIONS, load, unknown_variables
from tests.dockerfile import environment as variables
from tests.dockerfile import instructions, of_image

ROOT: Final = Path(__file__).parents[2]
K8S: Final = ROOT / "k8s"
BASE, POSTGRES = K8S / "base", K8S / "overlays/postgres"
BOTH: Final = pytest.mark.parametrize("folder", [BASE, POSTGRES], ids=["base", "postgres"])
MERGED_BY: Final = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
APP: Final = {"app": "task-orchestrator"}
GUIDE: Final = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def identity(resource: dict[str, Any]) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def rendered(folder: Path) -> dict[tuple[str, str], Any]:
    """What kustomize makes of a folder, of its features those that are used here: resources, and strategic merge patches."""
    (how,) = documents(folder / "kustomization.yaml")
    assert how.keys() <= {"apiVersion", "kind", "resources", "patches"}
    found: dict[tuple[str, str], Any] = {}
    for name in how["resources"]:
        path = (folder / name).resolve()
        more = rendered(path) if path.is_dir() else {identity(one): one for one in documents(path)}
        assert not found.keys() & more.keys()
        found |= more
    for patch in how.get("patches", []):
        assert patch.keys() == {"path"}
        for change in documents(folder / patch["path"]):
            merged = merge(found.pop(identity(change)), change)
            found |= {} if merged is None else {identity(change): merged}
    return found


def merge(value: Any, change: Any, key: str = "") -> Any:
    """A value after a patch; None when it is gone."""
    if isinstance(change, list) and isinstance(value, list) and key in MERGED_BY:
        by = MERGED_BY[key]
        kept = {one[by]: one for one in value}
        changed = {one[by]: merge(kept.pop(one[by], {}), one) for one in change}
        return [one for one in (changed | kept).values() if one is not None]
    if not isinstance(change, dict):
        return change
    if "$patch" in change:
        assert change["$patch"] == "delete"
        return None
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in change.items():
        result[name] = merge(result.get(name), part, name)
    return {name: part for name, part in result.items() if part is not None}


def deployed(folder: Path) -> tuple[dict[tuple[str, str], Any], Any, Any]:
    """All resources, the pod's spec and its container."""
    resources = rendered(folder)
    pod = resources["Deployment", "task-orchestrator"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return resources, pod, container


def server(service: str) -> Any:
    (compose,) = documents(ROOT / "docker-compose.yml")
    return compose["services"][service]


def started(environment: dict[str, str]) -> None:
    """The settings let a server start, beyond loopback, and every variable is one."""
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    assert unknown_variables(ours) == []
    settings = load(environ=ours)
    assert settings.server.host == "0.0.0.0"  # noqa: S104 - that it asks for a key is the point
    assert settings.environment == "production"


@BOTH
@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_kubernetes_takes_every_manifest(folder: Path, version: str) -> None:
    for resource in rendered(folder).values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_every_file_is_used() -> None:
    named = set()
    for how in K8S.rglob("kustomization.yaml"):
        (said,) = documents(how)
        parts = [*said["resources"], *(patch["path"] for patch in said.get("patches", []))]
        named |= {how, *((how.parent / part).resolve() for part in parts)}
    assert {path for path in K8S.rglob("*") if path.is_file()} == {path for path in named if path.is_file()}


@BOTH
def test_selectors_find_the_pods(folder: Path) -> None:
    resources, pod, _ = deployed(folder)
    spec = resources["Deployment", "task-orchestrator"]["spec"]
    selectors = [spec["selector"]["matchLabels"], resources["Service", "task-orchestrator-service"]["spec"]["selector"]]
    selectors.append(resources["NetworkPolicy", "task-orchestrator"]["spec"]["podSelector"]["matchLabels"])
    selectors += [spread["labelSelector"]["matchLabels"] for spread in pod.get("topologySpreadConstraints", [])]
    if folder == POSTGRES:
        selectors.append(resources["PodDisruptionBudget", "task-orchestrator"]["spec"]["selector"]["matchLabels"])
    assert [selector for selector in selectors if selector != APP] == []
    assert spec["template"]["metadata"]["labels"] == APP
    assert {name: one["metadata"]["labels"] for name, one in resources.items() if one["metadata"]["labels"] != APP} == {}


@BOTH
def test_ports_and_probes_meet(folder: Path) -> None:
    resources, _, container = deployed(folder)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    service, network = resources["Service", "task-orchestrator-service"], resources["NetworkPolicy", "task-orchestrator"]
    (served,), (rule,) = service["spec"]["ports"], network["spec"]["ingress"]
    probes = {name: probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")}
    used = [served["targetPort"], *(port["port"] for port in rule["ports"]), *(probe["port"] for probe in probes.values())]
    assert served["port"] == 80
    assert set(used) == {"http"}
    configured = resources["ConfigMap", "task-orchestrator-config"]["data"]["APP_SERVER_PORT"]
    assert [str(ports["http"])] * 3 == [configured, of_image("EXPOSE"), variables(of_image("ENV"))["APP_SERVER_PORT"]]
    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == dict(zip(["startupProbe", "livenessProbe", "readinessProbe"], [PROBES[0], *PROBES], strict=True))


@BOTH
def test_every_variable_is_a_setting_and_every_secret_is_described(folder: Path) -> None:
    resources, _, container = deployed(folder)
    environment: dict[str, str] = {}
    for source in container["envFrom"]:
        environment |= resources["ConfigMap", source["configMapRef"]["name"]]["data"]
    secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"]}
    assert not environment.keys() & secrets.keys()
    assert all(secret["name"] == "task-orchestrator-secret" for secret in secrets.values())
    assert [name for name, secret in secrets.items() if secret["key"] != name or f"--from-literal={name}=" not in GUIDE] == []
    assert ("APP_DATABASE_URL" in secrets) == (folder == POSTGRES)
    assert "APP_DATABASE_URL" in environment | secrets
    given = {"APP_AUTH_BOOTSTRAP_KEY": "x" * 64, "APP_DATABASE_URL": "postgresql://tasks:PASSWORD@HOST/tasks"}
    started(environment | {name: given[name] for name in secrets})
    # Keys can be in the database instead; its address can be nowhere else.
    assert [name for name, secret in secrets.items() if secret.get("optional")] == ["APP_AUTH_BOOTSTRAP_KEY"]
    del given["APP_AUTH_BOOTSTRAP_KEY"]
    started(environment | {name: given[name] for name in secrets if name in given})


@BOTH
def test_the_pod_is_as_restricted_as_kubernetes_knows(folder: Path) -> None:
    _, pod, container = deployed(folder)
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_image("USER") == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["runAsUser"] >= 10_000
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container["image"] == server("task-orchestrator")["image"] == "task-orchestrator:latest"


@BOTH
def test_it_has_the_time_to_end(folder: Path) -> None:
    _, pod, container = deployed(folder)
    before = container.get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + _DRAIN_S + 10
    assert (before > 0) == (folder == POSTGRES)


@BOTH
def test_what_is_mounted_is_there(folder: Path) -> None:
    resources, pod, container = deployed(folder)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}.keys() == volumes.keys()
    claims = {one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one}
    assert claims == {name for kind, name in resources if kind == "PersistentVolumeClaim"}
    assert len(claims) == (folder == BASE)


def test_one_server_has_the_file_alone() -> None:
    resources, _, _ = deployed(BASE)
    spec = resources["Deployment", "task-orchestrator"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_many_servers_scale_and_roll() -> None:
    resources, pod, container = deployed(POSTGRES)
    deployment = resources["Deployment", "task-orchestrator"]
    scaler = resources["HorizontalPodAutoscaler", "task-orchestrator"]["spec"]
    target = scaler["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"], target["name"]) == (deployment["apiVersion"], *identity(deployment))
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 10)
    usage = {one["resource"]["name"]: one["resource"]["target"]["averageUtilization"] for one in scaler["metrics"]}
    assert usage == {"cpu": 70, "memory": 80}
    assert container["resources"]["requests"].keys() >= usage.keys()
    assert "replicas" not in deployment["spec"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert resources["PodDisruptionBudget", "task-orchestrator"]["spec"]["maxUnavailable"] == 1
    assert {one["topologyKey"] for one in pod["topologySpreadConstraints"]} >= {"kubernetes.io/hostname"}


@pytest.mark.parametrize("service", ["task-orchestrator", "replica"])
def test_compose_starts_a_server_that_only_this_machine_reaches(service: str) -> None:
    said = server(service)
    # Without the variable it is empty, and the server goes by the keys in the database.
    assert said["environment"]["APP_AUTH_BOOTSTRAP_KEY"] == "${APP_AUTH_BOOTSTRAP_KEY:-}"
    for key in ("", "x" * 64):
        started({**variables(of_image("ENV")), **said["environment"], "APP_AUTH_BOOTSTRAP_KEY": key})
    assert [port for port in said["ports"] if not re.fullmatch(r"127\.0\.0\.1:[\d-]+:8080", port)] == []
    assert int(said["stop_grace_period"].removesuffix("s")) >= _DRAIN_S + 10
    assert said["read_only"] is True
    kept = {volume.rpartition(":")[2] for volume in said.get("volumes", [])} | set(said["tmpfs"])
    assert kept == {*json.loads(of_image("VOLUME")), "/tmp"}  # noqa: S108 - the container's own


def test_compose_brings_three_servers_and_their_database() -> None:
    (compose,) = documents(ROOT / "docker-compose.yml")
    replica, database = server("replica"), server("postgres")
    first, last = map(int, replica["ports"][0].split(":")[1].split("-"))
    assert last - first + 1 == replica["deploy"]["replicas"] == 3
    assert replica["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert database["image"].startswith("postgres:17")
    assert "ports" not in database
    assert replica["profiles"] == database["profiles"] == ["postgres"]
    assert replica["environment"]["APP_DATABASE_URL"] == "postgresql://{POSTGRES_USER}@postgres/{POSTGRES_DB}".format_map(
        database["environment"]
    )
    assert replica["environment"]["PGPASSWORD"] == database["environment"]["POSTGRES_PASSWORD"]
    mounted = [volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])]
    assert set(mounted) == compose["volumes"].keys()


def test_the_image_is_made_of_what_is_here() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [shlex.split(arguments)[:-1] for name, arguments in instructions() if name == "COPY" and "--from" not in arguments]
    sources = [source for sources in copied for source in sources]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == set(sources)
    assert "HEALTHCHECK" in dict(instructions())
    assert PROBES[0] in of_image("HEALTHCHECK")
    assert json.loads(of_image("ENTRYPOINT")) == ["orchestrator"]


def test_the_image_has_the_versions_that_are_tested() -> None:
    # Tools that are needed everywhere bring some packages that the image needs on Windows only.
    pinned = re.compile(r"(?m)^(\S+==\S+)(?: ; .*)? \\\n((?: .*\n)+)")
    every, servers = (set(pinned.findall((ROOT / f"requirements{which}.lock").read_text())) for which in ("", "-server"))
    assert len(servers) > 30
    assert servers - every == set()


def test_the_guide_names_what_is_there() -> None:
    for path in re.findall(r"\bk8s/[a-z0-9/.]*", GUIDE):
        assert (ROOT / path).exists(), path
    names = {name for folder in (BASE, POSTGRES) for _, name in rendered(folder)} | {"task-orchestrator-secret"}
    assert set(re.findall(r"\btask-orchestrator-(?:secret|service|config|data)\b", GUIDE)) <= names
    sections = set(re.findall(r"\bAPP_([A-Z]+)_[A-Z_]+", GUIDE))
    assert {name.lower() for name in sections} <= SECTIONS.keys()
