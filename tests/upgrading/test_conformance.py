"""What every store must do, a database of the first release does, too, once it is brought up to date.

Of all releases this one has the longest way; that the others come to the very same schema, test_upgrading shows. All of the suite
on SQLite; on PostgreSQL, which takes longer to copy, those modules that write and read most of the tables. With rows of before
those whose tests don't count all there is.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.programs import ROOT, environment
from tests.upgrading.releases import RELEASES

pytestmark = pytest.mark.system
COUNTING_NOTHING = (
    "advancing",
    "budgets",
    "dependencies",
    "drains",
    "giving_up",
    "lifecycle",
    "people",
    "reads_tasks",
    "records",
)
MOST_TABLES = (
    "accounts",
    "budgets_daily",
    "claiming",
    "copying",
    "deliveries",
    "keys",
    "notifications",
    "pruning",
    "queue",
    "runs",
    "schedules",
    "searching",
    "triggers",
    "usage_tags",
)


@pytest.mark.parametrize(
    ("store", "modules", "keeps"),
    [
        ("sqlite", (), ""),
        ("sqlite", COUNTING_NOTHING, "1"),
        ("postgres", MOST_TABLES, ""),
        ("postgres", COUNTING_NOTHING, "1"),
    ],
    ids=["sqlite", "sqlite with rows of before", "postgres", "postgres with rows of before"],
)
def test_the_suite_passes(store: str, modules: tuple[str, ...], keeps: str, tmp_path: Path) -> None:
    places = [f"tests/conformance/test_{module}.py" for module in modules] or ["tests/conformance"]
    line = ["-q", "-n", "2", "--dist", "worksteal", "-m", "not system", "-k", store, "-p", "no:cacheprovider", *places]
    variables = {"APP_TEST_UPGRADED_FROM": RELEASES[0], "APP_TEST_UPGRADED_KEEPS": keeps, "PATH": os.environ["PATH"]}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *line, "--basetemp", str(tmp_path / "run")],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:]
    assert " passed" in ran.stdout
