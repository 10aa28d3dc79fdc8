"""The metrics, the alert rules and the dashboard, with a real Prometheus."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.acceptance.programs import ROOT, end, orchestrator, serving, until

pytestmark = pytest.mark.system

CONFIG: Final = ROOT / "config"
RULES: Final = yaml.safe_load((CONFIG / "prometheus/alerts.yml").read_text())
ALERTS: Final = [rule["alert"] for rule in RULES["groups"][0]["rules"]]
DASHBOARD: Final = json.loads((CONFIG / "grafana/orchestrator.json").read_text())
QUERIES: Final = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
EXPRESSIONS: Final = [rule["expr"] for rule in RULES["groups"][0]["rules"]]
NAME: Final = re.compile(r"\b([a-z]+(?:_[a-z]+)*)\{")
REPLICAS: Final = {"replica_behind_events", "replica_looked_seconds", "replica_servers"}
"""Those that only a server on PostgreSQL has."""


def promtool(*arguments: str, cwd: Path = CONFIG / "prometheus", text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], cwd=cwd, input=text, capture_output=True, text=True, check=False, timeout=60)


def test_promtool_takes_configuration_and_rules_and_each_alert_fires_when_it_should() -> None:
    for arguments in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ):
        ran = promtool(*arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("always", [False, True], ids=["never", "always"])
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_fires_never_or_always_fails_its_test(alert: str, always: bool, tmp_path: Path) -> None:
    rules = json.loads(json.dumps(RULES))
    (rule,) = (one for one in rules["groups"][0]["rules"] if one["alert"] == alert)
    rule["expr"] = "vector(1)" if always else "vector(1) > 1"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    shutil.copy(CONFIG / "prometheus/alerts_test.yml", tmp_path)
    assert promtool("test", "rules", "alerts_test.yml", cwd=tmp_path).returncode != 0


def prepared(client: httpx.Client) -> str:
    """What creates work by itself: a schedule that fires each second, a webhook; the address of that."""
    task = {"work_directory": "/observed/1", "prompt": "Do it"}
    schedule = {"name": "each second", "cron": "* * * * * *", "task": task}
    hook = {"type": "webhook", "auth": {"type": "token", "secret": "of nobody who calls here"}}
    workflow = {"name": "called", "steps": [{"id": "only", "task": task}], "triggers": [hook]}
    assert client.post("/schedules", json=schedule).status_code == 201
    made = client.post("/workflows", json=workflow)
    assert made.status_code == 201, made.text
    rule = {"name": "nobody listens", "events": ["task.completed"], "slack": {"url": "http://127.0.0.1:9/"}}
    told = client.post("/notifications/rules", json=rule)
    assert told.status_code == 201, told.text
    found = made.json()["data"]["id"]
    assert client.put(f"/deployment/workflows/{found}/deploy").is_success
    client.post("/tasks", json={**task, "requires_approval": True})
    return f"/public/webhook/workflow/{found}"


def busy(client: httpx.Client, hook: str) -> None:
    """Some of everything that the dashboard shows."""
    for number in range(6):
        client.post("/tasks", json={"work_directory": f"/observed/{number % 3}", "prompt": "Do it"})
    for ending in ("complete", "complete", "complete", "fail"):
        query: dict[str, str | int] = {"work_path": "/observed", "recursive": "true", "worker_id": "w", "wait": 0}
        task = client.get("/tasks/next", params=query).json()["data"]
        body = {"lease": task["lease"], "usage": {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.5}}
        error = {"error": {"type": "Test", "message": "as asked"}, "retryable": False}
        ended = client.post(f"/tasks/{task['id']}/{ending}", json=body if ending == "complete" else body | error)
        assert ended.status_code == 200, ended.text
    assert client.post(hook, json={}).status_code == 401


@contextlib.contextmanager
def prometheus(folder: Path, address: str) -> Iterator[httpx.Client]:
    """A Prometheus with our configuration, that looks once a second; a client of it."""
    ran = orchestrator("monitoring", str(folder), cwd=folder.parent)
    assert ran.returncode == 0, ran.stderr
    file = folder / "prometheus.yml"
    file.write_text(file.read_text().replace("127.0.0.1:8080", address).replace("interval: 15s", "interval: 1s"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{free.getsockname()[1]}"
    assert "```sh\ncd monitoring && prometheus\n```" in (CONFIG.parent / "docs/metrics.md").read_text()
    line = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={own}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(line, cwd=folder, stdout=log, stderr=log, text=True)
        try:
            with httpx.Client(base_url=f"http://{own}", timeout=30) as client:
                yield client
        finally:
            end(process)


def answered(prometheus: httpx.Client, expression: str) -> list[dict[str, Any]]:
    answer = prometheus.get("/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def chosen(expression: str) -> str:
    """An expression of the dashboard, as Grafana asks it."""
    variables = {"$job": "orchestrator", "$instance": ".*", "$__rate_interval": "30s", "$__range": "5m"}
    for name, value in variables.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_metrics_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    with serving(tmp_path) as server, httpx.Client(base_url=f"{server.url}/api/v1", timeout=30) as client:
        busy(client, prepared(client))
        ran = promtool("check", "metrics", text=httpx.get(f"{server.url}/metrics").text)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.timeout(300)
def test_a_dashboard_of_a_busy_server_is_full_and_failing_tasks_are_told(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as server,
        httpx.Client(base_url=f"{server.url}/api/v1", timeout=30) as client,
        prometheus(tmp_path / "watching", server.url.removeprefix("http://")) as asked,
    ):

        def up() -> object:
            with contextlib.suppress(httpx.TransportError):
                return asked.get("/-/ready").is_success and answered(asked, 'up{job="orchestrator"} == 1')
            return None

        until(up)
        assert answered(asked, 'ALERTS{alertstate="firing"}') == []
        hook = prepared(client)
        empty = dict.fromkeys(chosen(query) for query in QUERIES if not REPLICAS & set(NAME.findall(query)))
        firing = 'ALERTS{alertname="OrchestratorTasksFailing", alertstate="firing"}'

        def full() -> object:
            busy(client, hook)
            for query in list(empty):
                if answered(asked, query):
                    del empty[query]
            return not empty and answered(asked, firing)

        try:
            until(full)
        except AssertionError:
            assert list(empty) == [], "of these nothing is to be seen"
            raise
        for query in QUERIES:
            answered(asked, chosen(query))
        names = set(asked.get("/api/v1/label/__name__/values").json()["data"])
        told = {name for query in (*QUERIES, *EXPRESSIONS) for name in NAME.findall(query)}
        assert told - names <= REPLICAS
        found = asked.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
        assert [rule["name"] for rule in found if rule["health"] != "ok"] == []
        assert [rule["name"] for rule in found if rule["state"] == "firing"] == ["OrchestratorTasksFailing"]
