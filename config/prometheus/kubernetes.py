"""Writes rules.yaml of k8s/components/monitoring: `python config/prometheus/kubernetes.py`. A test compares the two."""

from pathlib import Path

RULES = Path(__file__).with_name("alerts.yml")
PAGE = Path(__file__).parents[2] / "k8s/components/monitoring/rules.yaml"
HEAD = """\
# Written by config/prometheus/kubernetes.py from alerts.yml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: task-orchestrator
  labels:
    app: task-orchestrator
spec:
"""


def page() -> str:
    """The rules as the Prometheus Operator takes them."""
    lines = RULES.read_text(encoding="utf-8").splitlines()
    return HEAD + "".join(f"  {line}".rstrip() + "\n" for line in lines[lines.index("groups:") :])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
