"""The image and Compose: what they say of each other and of the program is true."""

import json
import re
import shlex
from typing import Any, Final

import pytest
import yaml
from packaging.version import Version

import orchestrator
from orchestrator.http.server import _DRAIN_S
from orchestrator.http.visitors import PROBES
from orchestrator.settings import PREFIX, load, unknown_variables
from tests.compose import ROOT, compose, mounts, seconds, service
from tests.dockerfile import environment as variables
from tests.dockerfile import instructions, of_image
from worker_client.cli.run import run
from worker_client.job import STOP_GRACE

GRAFANA: Final = ROOT / "config/grafana"
SERVICES: Final = sorted(compose()["services"])
TAG: Final = variables(of_image("LABEL"))["org.opencontainers.image.version"]


def server(name: str) -> Any:
    return compose()["services"][name]


def started(environment: dict[str, str]) -> None:
    """The settings let a server start, beyond loopback, and every variable is one."""
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    assert unknown_variables(ours) == []
    settings = load(environ=ours)
    assert settings.server.host == "0.0.0.0"  # noqa: S104 - that it asks for a key is the point
    assert settings.environment == "production"


def test_one_version_is_named_everywhere() -> None:
    named = [
        re.fullmatch(r"task-orchestrator:([\d.]+)", server(name)["image"]) for name in ("task-orchestrator", "replica", "worker")
    ]
    assert {found and found[1] for found in named} == {TAG}
    # Before a release its images are named already; afterwards none may be of an older one.
    assert Version(TAG) >= Version(orchestrator.__version__)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_than_it_needs(name: str) -> None:
    said = server(name)
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert said["security_opt"] == ["no-new-privileges:true"]
    user = service(name).get("user", of_image("USER") if said["image"].startswith("task-orchestrator:") else "")
    assert re.fullmatch(r"[1-9]\d*:\d+", user), f"{name} runs as {user!r}"
    assert re.fullmatch(r"[\w/-]+:v?\d[\w.-]*", said["image"])
    assert [port for port in said.get("ports", []) if not re.fullmatch(r"127\.0\.0\.1:[\d-]+:\d+", port)] == []
    assert "/tmp" in said.get("tmpfs", []) or name == "prometheus"  # noqa: S108 - the container's own
    assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & said.keys()
    assert not any(source.endswith("docker.sock") for source, _ in mounts(said).values())
    literal = {key: value for key, value in said.get("environment", {}).items() if re.search("KEY|PASSWORD", key)}
    assert [key for key, value in literal.items() if not value.startswith(("${", "/run/secrets/"))] == []
    healthy = said.get("healthcheck", {"test": of_image("HEALTHCHECK")})
    assert "test" in healthy or name == "worker"


@pytest.mark.parametrize("name", ["task-orchestrator", "replica"])
def test_compose_starts_a_server_that_only_this_machine_reaches(name: str) -> None:
    said = server(name)
    # Without the variable it is empty, and the server goes by the keys in the database.
    assert said["environment"]["APP_AUTH_BOOTSTRAP_KEY"] == "${APP_AUTH_BOOTSTRAP_KEY:-}"
    for key in ("", "x" * 64):
        started({**variables(of_image("ENV")), **service(name, APP_AUTH_BOOTSTRAP_KEY=key)["environment"]})
    assert {port.rpartition(":")[2] for port in said["ports"]} == {of_image("EXPOSE")}
    assert seconds(said["stop_grace_period"]) >= _DRAIN_S + 10
    kept = {*mounts(said), *said["tmpfs"]}
    assert kept == {*json.loads(of_image("VOLUME")), "/tmp"}  # noqa: S108 - the container's own


def test_compose_brings_three_servers_and_their_database() -> None:
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


def test_every_volume_and_every_file_is_there() -> None:
    sources = [source for name in SERVICES for source, _ in mounts(server(name)).values()]
    assert {source for source in sources if not source.startswith("./")} == compose()["volumes"].keys()
    files = [source for source in sources if source.startswith("./") and source != "./srv"]
    assert [source for source in files if not (ROOT / source).exists()] == []
    asked = {secret for name in SERVICES for secret in server(name).get("secrets", [])}
    assert asked == compose()["secrets"].keys()
    # An engine puts no other kind of secret into a root that is read-only.
    assert {tuple(secret) for secret in compose()["secrets"].values()} == {("file",)}


def test_the_workers_command_line_is_one() -> None:
    said = service("worker", WORKER_KEY="orc_key")
    assert said["entrypoint"] == ["orchestrator-worker"]
    word, *arguments = said["command"]
    assert word == "run"
    given = run.make_context("run", list(arguments)).params
    assert {str(path) for path in given["directories"]} <= mounts(said).keys()
    environment = said["environment"]
    known = {parameter.envvar for parameter in run.params} | {"HOME", "ORCHESTRATOR_STATE_DIR"}
    assert environment.keys() <= known
    assert environment["ORCHESTRATOR_API_KEY"] == "orc_key"
    assert environment["ORCHESTRATOR_URL"] == f"http://task-orchestrator:{of_image('EXPOSE')}"
    assert {path.split("/")[1] for path in (environment["HOME"], environment["ORCHESTRATOR_STATE_DIR"])} == {"tmp"}
    assert seconds(said["stop_grace_period"]) >= given["drain_seconds"] + STOP_GRACE + 10


def test_prometheus_watches_every_server_with_its_key() -> None:
    prometheus = server("prometheus")
    mounted = {target: source for target, (source, read_only) in mounts(prometheus).items() if read_only}
    configured = mounted["/etc/prometheus/prometheus.yml"]
    said = yaml.safe_load((ROOT / configured).read_text(encoding="utf-8"))
    assert [f"/etc/prometheus/{file}" for file in said["rule_files"]] == ["/etc/prometheus/alerts.yml"]
    assert mounted["/etc/prometheus/alerts.yml"] == "./config/prometheus/alerts.yml"
    (job,) = said["scrape_configs"]
    assert job["job_name"] == "orchestrator"
    (found,) = job["dns_sd_configs"]
    servers = [name for name in SERVICES if server(name)["image"].startswith("task-orchestrator:") and name != "worker"]
    assert sorted(found["names"]) == servers
    assert str(found["port"]) == of_image("EXPOSE")
    (secret,) = prometheus["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert f"--config.file={next(iter(mounts(prometheus)))}" in prometheus["command"]
    assert f"--storage.tsdb.path={list(mounts(prometheus))[-1]}" in prometheus["command"]


def test_grafana_has_the_dashboard_and_its_source() -> None:
    grafana = server("grafana")
    mounted = {target: source for target, (source, read_only) in mounts(grafana).items() if read_only}
    assert mounted["/etc/grafana/provisioning"] == "./config/grafana/provisioning"
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    port = server("prometheus")["ports"][0].rpartition(":")[2]
    assert (source["type"], source["url"]) == ("prometheus", f"http://prometheus:{port}")
    dashboard = json.loads((GRAFANA / "orchestrator.json").read_text())
    (chosen,) = (one for one in dashboard["templating"]["list"] if one["type"] == "datasource")
    assert chosen["query"] == source["type"]
    asked = set(re.findall(r'"uid": "([^"]+)"', json.dumps([dashboard["panels"], dashboard["annotations"]])))
    assert asked == {f"${{{chosen['name']}}}"}
    scraped = yaml.safe_load((ROOT / "config/prometheus/compose.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/orchestrator.yml").read_text())["providers"]
    page = f"{provider['options']['path']}/orchestrator.json"
    assert mounted[page] == "./config/grafana/orchestrator.json"
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == page
    (secret,) = grafana["secrets"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"/run/secrets/{secret}"


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
