"""The manifests: each is valid, fits the others and the program, and is as a strict reviewer wants it."""

import json
import runpy
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from orchestrator.http.server import _DRAIN_S, _LAST_S
from orchestrator.http.visitors import PROBES
from orchestrator.settings import load
from tests.dockerfile import ROOT, of_image
from tests.dockerfile import environment as variables
from tests.kustomize import Resources, containers, documents, identity, kustomized, rendered
from tests.unit.test_deploy import server, started
from worker_client.cli.run import run
from worker_client.job import STOP_GRACE

K8S: Final = ROOT / "k8s"
BASE, POSTGRES = K8S / "base", K8S / "overlays/postgres"
COMPONENTS: Final = sorted(path.name for path in (K8S / "components").iterdir())
BOTH: Final = pytest.mark.parametrize("folder", [BASE, POSTGRES], ids=["base", "postgres"])
APP: Final = {"app": "task-orchestrator"}
WORKER: Final = {"app": "task-orchestrator-worker"}
CUSTOM: Final = yaml.safe_load((Path(__file__).parent / "custom_resources.yml").read_text(encoding="utf-8"))
OPTIONAL: Final = {"APP_AUTH_BOOTSTRAP_KEY", "APP_SECRETS_KEY"}
LONGEST_POLL_S: Final = 50


@cache
def everything(folder: Path) -> Resources:
    """A folder with all components, as its users add them in a kustomization of their own."""
    said = {"resources": [str(folder)], "components": [str(K8S / "components" / name) for name in COMPONENTS]}
    return kustomized(K8S, said)


def deployed(folder: Path) -> tuple[Resources, Any, Any]:
    """All resources, the pod's spec and its container."""
    resources = rendered(folder)
    pod = resources["Deployment", "task-orchestrator"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return resources, pod, container


def policies(resources: Resources) -> dict[str, Any]:
    return {name: one["spec"] for (kind, name), one in resources.items() if kind == "NetworkPolicy"}


def open_ports(rules: list[dict[str, Any]]) -> set[Any]:
    return {port["port"] for rule in rules for port in rule["ports"]}


@BOTH
@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_kubernetes_takes_every_manifest(folder: Path, version: str) -> None:
    for (kind, _), resource in everything(folder).items():
        if kind in CUSTOM:
            jsonschema.validate(resource, CUSTOM[kind])
        else:
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
    resources = everything(folder)
    known = [APP, WORKER]
    for (kind, name), one in resources.items():
        assert one["metadata"]["labels"] == (WORKER if name.startswith(("task-orchestrator-work",)) else APP), name
        spec = one.get("spec", {})
        if kind == "Deployment":
            assert spec["template"]["metadata"]["labels"].items() >= spec["selector"]["matchLabels"].items()
        found = [spec[key].get("matchLabels", spec[key]) for key in ("selector", "podSelector") if key in spec]
        assert [selector for selector in found if selector not in known] == [], name
    _, pod, _ = deployed(folder)
    spreads = [spread["labelSelector"]["matchLabels"] for spread in pod.get("topologySpreadConstraints", [])]
    apart = pod.get("affinity", {}).get("podAntiAffinity", {}).get("preferredDuringSchedulingIgnoredDuringExecution", [])
    assert all(1 <= one["weight"] <= 100 for one in apart)
    spreads += [one["podAffinityTerm"]["labelSelector"]["matchLabels"] for one in apart]
    assert spreads == [APP] * (3 if folder == POSTGRES else 0)


@BOTH
def test_ports_and_probes_meet(folder: Path) -> None:
    resources, _, container = deployed(folder)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (served,) = resources["Service", "task-orchestrator-service"]["spec"]["ports"]
    probes = {name: probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")}
    assert {served["targetPort"], *(probe["port"] for probe in probes.values())} == {"http"}
    assert served["port"] == 80
    configured = resources["ConfigMap", "task-orchestrator-config"]["data"]["APP_SERVER_PORT"]
    assert [str(ports["http"])] * 3 == [configured, of_image("EXPOSE"), variables(of_image("ENV"))["APP_SERVER_PORT"]]
    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == dict(zip(["startupProbe", "livenessProbe", "readinessProbe"], [PROBES[0], *PROBES], strict=True))


@BOTH
def test_every_variable_is_a_setting(folder: Path) -> None:
    _, _, container = deployed(folder)
    secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"]}
    assert ("APP_DATABASE_URL" in secrets) == (folder == POSTGRES)
    for resources in (rendered(folder), everything(folder)):
        environment: dict[str, str] = {}
        for source in container["envFrom"]:
            environment |= resources["ConfigMap", source["configMapRef"]["name"]]["data"]
        assert not environment.keys() & secrets.keys()
        assert "APP_DATABASE_URL" in environment | secrets
        given = {"APP_DATABASE_URL": "postgresql://tasks:PASSWORD@HOST/tasks", **dict.fromkeys(OPTIONAL, "x" * 64)}
        started(environment | {name: given[name] for name in secrets})
        # Keys can be in the database instead; its address can be nowhere else.
        assert {name for name, secret in secrets.items() if secret.get("optional")} == OPTIONAL & secrets.keys()
        started(environment | {name: given[name] for name in secrets.keys() - OPTIONAL})


@BOTH
def test_pods_are_as_restricted_as_kubernetes_knows(folder: Path) -> None:
    resources = everything(folder)
    pods = [one["spec"]["template"]["spec"] for (kind, _), one in resources.items() if kind == "Deployment"]
    assert len(pods) == 2
    for pod in pods:
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert of_image("USER") == f"{context['runAsUser']}:{context['runAsGroup']}"
        assert context["runAsUser"] >= 10_000
        assert pod["automountServiceAccountToken"] is False
        assert resources["ServiceAccount", pod["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"persistentVolumeClaim", "emptyDir"}
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)
    for container in containers(resources):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}
        assert container["image"] == server("task-orchestrator")["image"]
        assert not container["image"].endswith(":latest")
        assert not any("KEY" in one["name"] or "PASSWORD" in one["name"] for one in container["env"] if "value" in one)
        assert not any("hostPort" in port for port in container.get("ports", []))
    kinds = {kind for kind, _ in resources}
    assert not kinds & {"Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    assert {one["spec"].get("type") for (kind, _), one in resources.items() if kind == "Service"} == {"ClusterIP"}
    assert [name for (_, name), one in resources.items() if "namespace" in one["metadata"]] == []


@BOTH
def test_a_server_has_the_time_to_end(folder: Path) -> None:
    resources, pod, container = deployed(folder)
    said = resources["ConfigMap", "task-orchestrator-config"]["data"]
    draining = load(environ={name: said[name] for name in said if "DRAIN" in name}).server.drain_seconds
    before = container.get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + draining + _LAST_S + _DRAIN_S + 10
    assert (before > 0) == (draining > 0) == (folder == POSTGRES)
    if folder == POSTGRES:
        # A pod is taken out of the service when it is told to end; that has to have got around before it listens no more.
        assert before >= container["readinessProbe"]["periodSeconds"]


def test_a_worker_has_the_time_to_end_what_it_does() -> None:
    worker = everything(BASE)["Deployment", "task-orchestrator-worker"]["spec"]["template"]["spec"]
    (container,) = worker["containers"]
    drain = float(container["args"][container["args"].index("--drain-seconds") + 1])
    assert worker["terminationGracePeriodSeconds"] >= drain + STOP_GRACE + 10


def test_the_workers_command_line_is_one() -> None:
    resources = everything(BASE)
    pod = resources["Deployment", "task-orchestrator-worker"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["orchestrator-worker"]
    word, *arguments = container["args"]
    assert word == "run"
    context = run.make_context("run", list(arguments))
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(path) for path in context.params["directories"]} <= mounts
    given = {one["name"]: one.get("value") for one in container["env"]}
    known = {parameter.envvar for parameter in run.params} | {"HOME", "ORCHESTRATOR_STATE_DIR"}
    assert given.keys() <= known
    assert given["ORCHESTRATOR_URL"] == f"http://{identity(resources['Service', 'task-orchestrator-service'])[1]}"
    assert {str(given["HOME"]), str(given["ORCHESTRATOR_STATE_DIR"])} == {"/srv/.home", "/srv/.home/state"}


@BOTH
def test_networks_are_closed_but_for_what_is_needed(folder: Path) -> None:
    resources, _, _ = deployed(folder)
    allowed = policies(resources)
    assert set(allowed["task-orchestrator"]["policyTypes"]) == {"Ingress", "Egress"}
    assert open_ports(allowed["task-orchestrator"]["egress"]) == {53}
    outgoing = [rule for one in allowed.values() for rule in one.get("egress", [])]
    assert open_ports(outgoing) == ({53, 5432} if folder == POSTGRES else {53})
    every = policies(everything(folder))
    entering = {str(rule["from"]) for one in every.values() for rule in one.get("ingress", [])}
    assert len(entering) == 3
    assert all(rule["from"] for one in every.values() for rule in one.get("ingress", []))
    worker = every["task-orchestrator-worker"]
    assert set(worker["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in worker
    label = resources["NetworkPolicy", "task-orchestrator"]["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    pod = everything(folder)["Deployment", "task-orchestrator-worker"]["spec"]["template"]["metadata"]["labels"]
    assert pod.items() >= label.items()
    public = [
        to["ipBlock"] for one in every.values() for rule in one.get("egress", []) for to in rule.get("to", []) if "ipBlock" in to
    ]
    assert all("169.254.0.0/16" in one["except"] for one in public if one["cidr"] == "0.0.0.0/0")


@BOTH
def test_what_is_mounted_is_there(folder: Path) -> None:
    resources = everything(folder)
    claims = set()
    for (kind, _), one in resources.items():
        if kind != "Deployment":
            continue
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}.keys() == volumes.keys()
        claims |= {
            volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume
        }
        held = any("persistentVolumeClaim" in volume for volume in volumes.values())
        assert (one["spec"]["strategy"] == {"type": "Recreate"}) == held
        assert held <= (one["spec"].get("replicas") == 1)
    assert claims == {name for kind, name in resources if kind == "PersistentVolumeClaim"}
    assert len(claims) == 1 + (folder == BASE)


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
    disruption = resources["PodDisruptionBudget", "task-orchestrator"]["spec"]
    assert disruption["maxUnavailable"] < scaler["minReplicas"]
    hosts = {one["topologyKey"] for one in pod["topologySpreadConstraints"]}
    assert hosts >= {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


@BOTH
def test_an_ingress_outlasts_a_poll_and_holds_nothing_back(folder: Path) -> None:
    resources = everything(folder)
    ingress = resources["Ingress", "task-orchestrator"]
    said = {name.partition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    assert min(int(said["proxy-read-timeout"]), int(said["proxy-send-timeout"])) >= LONGEST_POLL_S + 10
    assert (said["proxy-buffering"], said["proxy-body-size"]) == ("off", "0")
    assert said["proxy-next-upstream"] == "error timeout"
    (rule,), (tls,) = ingress["spec"]["rules"], ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    (path,) = rule["http"]["paths"]
    service = path["backend"]["service"]
    (port,) = resources["Service", service["name"]]["spec"]["ports"]
    assert service["port"] == {"name": port["name"]}
    settings = resources["ConfigMap", "task-orchestrator-config"]["data"]
    assert settings["APP_SERVER_PUBLIC_URL"] == f"https://{rule['host']}"
    assert settings["APP_SERVER_TRUSTED_PROXIES"]


def test_the_operator_of_prometheus_has_the_rules_and_the_name_that_they_go_by() -> None:
    resources = everything(BASE)
    script = runpy.run_path(str(ROOT / "config/prometheus/kubernetes.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"](), "run: python config/prometheus/kubernetes.py"
    (rules,) = documents(ROOT / "config/prometheus/alerts.yml")
    assert resources["PrometheusRule", "task-orchestrator"]["spec"] == rules
    (endpoint,) = resources["ServiceMonitor", "task-orchestrator"]["spec"]["endpoints"]
    (named,) = endpoint["relabelings"]
    job = {"action": "replace", "targetLabel": "job", "replacement": "orchestrator"}
    assert named == job
    assert json.dumps(rules).count('job=\\"orchestrator\\"') > 10
    (port,) = resources["Service", "task-orchestrator-service"]["spec"]["ports"]
    assert endpoint["port"] == port["name"]
