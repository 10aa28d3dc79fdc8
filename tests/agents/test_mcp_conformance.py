"""The conformance suite of the protocol against `/mcp`: all that can be asked of a server with tools of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.programs import serving
from tests.agents.homes import Home

pytestmark = pytest.mark.agents

PATIENCE_S: Final = 300
EXAMPLE: Final = "calls a tool, reads a resource or gets a prompt that only the suite's example server has"
ASKS: Final = "has the server ask its client for something (sampling, roots, elicitation): ours asks people, by task_ask"
DOES_NOT_APPLY: Final = {
    "completion-complete": "completes arguments of prompts: ours are ids, paths and prose",
    "logging-set-level": "sends log messages to the client: ours go to the server's log, and the revision of 2026 gave them up",
    "resources-subscribe": "tells of changes of resources: for that there are the events of the API",
    "resources-unsubscribe": "as resources-subscribe",
    "http-custom-header-server-validation": "copies arguments into headers, which no tool of ours asks for",
    "json-schema-2020-12": EXAMPLE,
    **dict.fromkeys(
        (
            "tools-call-simple-text", "tools-call-image", "tools-call-audio", "tools-call-embedded-resource", "tools-call-error",
            "tools-call-mixed-content", "tools-call-with-logging", "tools-call-with-progress", "resources-read-text",
            "resources-read-binary", "resources-templates-read", "prompts-get-simple", "prompts-get-with-args",
            "prompts-get-embedded-resource", "prompts-get-with-image",
        ),
        EXAMPLE,
    ),
    **dict.fromkeys(
        (
            "tools-call-sampling", "tools-call-elicitation", "elicitation-sep1034-defaults", "elicitation-sep1330-enums",
            "input-required-result-basic-elicitation", "input-required-result-basic-sampling",
            "input-required-result-basic-list-roots", "input-required-result-request-state",
            "input-required-result-multiple-input-requests", "input-required-result-multi-round",
            "input-required-result-non-tool-request", "input-required-result-result-type",
            "input-required-result-tampered-state", "input-required-result-capability-check",
            "input-required-result-missing-input-response", "input-required-result-ignore-extra-params",
        ),
        ASKS,
    ),
    **dict.fromkeys(
        (
            "tasks-lifecycle", "tasks-capability-negotiation", "tasks-wire-fields", "tasks-request-state-removal",
            "tasks-mrtr-input", "tasks-request-headers", "tasks-dispatch-and-envelope", "tasks-required-task-error",
            "tasks-mrtr-composition", "tasks-status-notifications",
        ),
        "is of an extension that ours does not have: its tasks are calls that go on, and calls of ours end within a minute",
    ),
}  # fmt: skip
"""Scenarios, and why not."""
SESSIONS: Final = {"server-sse-multiple-streams", "server-session-lifecycle", "server-sse-polling"}
"""Only of the older revisions, where a server may keep sessions, and ours keeps none."""
APPLIES: Final = {
    "2025-11-25": {
        "server-initialize", "ping", "tools-list", "resources-list", "prompts-list", "dns-rebinding-protection",
    },
    "2026-07-28": {
        "server-stateless", "tools-list", "resources-list", "sep-2164-resource-not-found", "prompts-list",
        "dns-rebinding-protection", "caching", "http-header-validation", "server-sse-multiple-streams",
        "input-required-result-unsupported-methods", "input-required-result-validate-input",
    },
}  # fmt: skip


def failures(found: Path) -> list[str]:
    """Checks of a scenario that failed, without those that say themselves that they need a tool of the example server."""
    checks: list[dict[str, Any]] = json.loads((found / "checks.json").read_text())
    wrong = [check for check in checks if check["status"] not in {"SUCCESS", "INFO", "SKIPPED"}]
    return [str(check) for check in wrong if not (check.get("details") or {}).get("untestable")]


@pytest.mark.parametrize("revision", APPLIES)
def test_the_scenarios_of_a_revision(tmp_path: Path, home: Home, programs: Path, revision: str) -> None:
    results = tmp_path / "results"
    with serving(tmp_path) as server:
        line = [str(programs / "conformance"), "server", "--url", f"{server.url}/mcp", "--requirements", revision]
        ran = subprocess.run(
            [*line, "--output-dir", str(results)],
            env=home.environment, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
    # `server-tools-list-2026-07-28T10-00-00-000Z`
    found = {path.name.removeprefix("server-")[: -len("-2026-07-28T10-00-00-000Z")]: path for path in results.iterdir()}
    left_out = DOES_NOT_APPLY.keys() | (SESSIONS if revision < "2026" else set())
    assert found.keys() - left_out == APPLIES[revision], ran.stdout[-3000:]
    wrong = {name: failures(path) for name, path in found.items() if name in APPLIES[revision]}
    assert {name: checks for name, checks in wrong.items() if checks} == {}
