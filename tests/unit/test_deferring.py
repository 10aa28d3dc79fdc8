"""What a server seldom needs is not in its memory."""

import json
import subprocess
import sys
from typing import Any

import pytest

HEAVY = (
    *("yaml", "pdb", "jinja2", "croniter", "cron_descriptor", "imap_tools"),
    *("pathspec", "standardwebhooks", "jwt", "mcp", "opentelemetry"),
)


def told(code: str) -> Any:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def test_a_server_loads_no_library_before_it_needs_it() -> None:
    loaded = f"[name for name in {HEAVY} if getattr(sys.modules.get(name), '__spec__', None)]"
    assert told(f"import json, sys; import orchestrator.cli.server, orchestrator.app\nprint(json.dumps({loaded}))") == []


def test_nor_the_commands_that_it_is_not() -> None:
    code = (
        "import json, sys; import orchestrator.cli\nprint(json.dumps([name for name in sys.modules if 'cli.schedules' in name]))"
    )
    assert told(code) == []


@pytest.mark.parametrize(
    "use",
    ["import yaml; yaml.safe_load", "from yaml import safe_load; safe_load", "import yaml.nodes, yaml; yaml.safe_load"],
)
def test_it_is_there_as_soon_as_it_is_used(use: str) -> None:
    code = f"import json, sys; import orchestrator.app\n{use}('a: 1')\nprint(json.dumps(sys.modules['yaml'].__spec__.name))"
    assert told(code) == "yaml"


def test_a_server_does_not_draw_tracebacks() -> None:
    code = (
        "import json, sys\nfrom orchestrator.deferring import plain_tracebacks\nplain_tracebacks()\n"
        "import orchestrator.app\nbefore = 'rich' in sys.modules\nimport rich.console\nprint(json.dumps([before, rich.__name__]))"
    )
    assert told(code) == [False, "rich"]
