"""What is shipped for Prometheus and Grafana fits the metrics that there are, and is written where one asks for it."""

import json
import re
import runpy
from pathlib import Path

import yaml
from click.testing import CliRunner

from orchestrator.cli.exits import Exit
from orchestrator.cli.monitoring import FILES, monitoring
from orchestrator.resources import config
from orchestrator.telemetry.gauges import FULL
from orchestrator.telemetry.metrics import Metrics

GRAFANA = config() / "grafana"
DASHBOARD = json.loads((GRAFANA / "orchestrator.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = yaml.safe_load((config() / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
OTHERS = {"up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes"}


def known() -> set[str]:
    """The names under which Prometheus keeps the metrics."""
    metrics = Metrics("1")
    metrics.render(FULL)
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
    return {family.name + end for family in metrics.collect() for end in ends.get(family.type, ("",))}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\b([A-Za-z]+(?:_[a-z]+)*)\{", expression))


def test_the_dashboard_is_that_of_its_script() -> None:
    script = runpy.run_path(str(GRAFANA / "dashboard.py"))
    assert (GRAFANA / "orchestrator.json").read_text() == script["page"](), "run: python config/grafana/dashboard.py"


def test_dashboard_and_rules_name_metrics_that_there_are_and_leave_none_out() -> None:
    shown = set().union(*(named(target["expr"]) for panel in PANELS for target in panel["targets"]))
    warned = set().union(*(named(rule["expr"]) for rule in RULES))
    assert (shown | warned) - OTHERS <= known()
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in {*shown, *warned, "orchestrator_info"}}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in known()} - bare == set()


def test_panels_are_where_others_are_not() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance"}


def test_each_alert_is_explained() -> None:
    page = (config().parent / "docs/metrics.md").read_text()
    for rule in RULES:
        assert f"| `{rule['alert']}` |" in page
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_the_files_are_written_where_one_asks_and_none_is_replaced_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "new/folder"
    run = CliRunner().invoke
    assert run(monitoring, [str(folder)]).exit_code == 0
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {Path(name).name: (config() / name).read_text() for name in FILES}
    (folder / "alerts.yml").write_text("mine")
    refused = run(monitoring, [str(folder)])
    assert refused.exit_code == Exit.CONFLICT
    assert "alerts.yml" in refused.stderr
    assert (folder / "alerts.yml").read_text() == "mine"
    assert run(monitoring, [str(folder), "--force"]).exit_code == 0
    assert (folder / "alerts.yml").read_text() == written["alerts.yml"]
    (tmp_path / "file").touch()
    failed = run(monitoring, [str(tmp_path / "file/below")])
    assert failed.exit_code == Exit.FAILED
    assert "Not a directory" in failed.stderr
