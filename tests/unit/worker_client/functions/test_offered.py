"""Which built-in functions a worker offers, and what its reports say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.function_calls import BUILTIN
from tests.acceptance.programs import environment
from tests.unit.worker_client.functions.calling import Functions
from worker_client.errors import ConfigurationError
from worker_client.hiring import UnknownNameError, Wanted, hire
from worker_client.runners.function import FunctionRunner
from worker_client.shift import Shift


def offered(tmp_path: Path, text: str = "", **wanted: Any) -> list[str]:
    config = tmp_path / "worker.toml"
    config.write_text(text)
    workers = hire(Wanted(directories=(tmp_path,), config=config, **wanted), Shift(), {"HOME": str(tmp_path)})
    (worker,) = workers
    runner = next((one for one in worker._runners.values() if isinstance(one, FunctionRunner)), None)
    return [] if runner is None else list(runner._functions)


def test_the_names_are_those_that_jobs_may_have(tmp_path: Path) -> None:
    assert set(Functions(tmp_path).names) == BUILTIN


def test_none_is_offered_unless_it_is_named(tmp_path: Path) -> None:
    assert offered(tmp_path) == []
    assert offered(tmp_path, functions=("builtin:Math", "Sum=builtin:Math", "now=datetime:datetime.now")) == [
        "Math",
        "Sum",
        "now",
    ]
    assert offered(tmp_path, '[functions]\nbuiltin = ["Time"]\n') == ["Time"]
    assert offered(tmp_path, '[functions]\nbuiltin = ["Time"]\n', functions=("builtin:Time",)) == ["Time"]
    assert set(offered(tmp_path, functions=("builtin:all",))) == BUILTIN


@pytest.mark.parametrize(
    ("text", "functions", "said"),
    [
        ("", ("builtin:Shell",), "there are: all, Dayin"),
        ('[functions]\nbuiltin = ["all", "File"]\n', (), "two functions are called File"),
        ('[functions.email]\nserver = "x"\n', (), "functions.email: Object missing required field `sender`"),
        ('[functions.database]\nurl = "mysql://x"\n', (), "functions.database.url"),
        ("[functions.webhook]\nhosts = []\n", (), "functions.webhook.hosts"),
        ('[functions.sms]\nurl = "http://x"\n', (), "functions.sms.url"),
    ],
)
def test_what_can_not_be_offered(tmp_path: Path, text: str, functions: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        offered(tmp_path, text, functions=functions)


def test_the_kind_needs_a_function(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        offered(tmp_path, kinds=("function",))


def test_workers_without_them_do_not_load_them() -> None:
    code = "import sys, worker_client.hiring; print([n for n in ('sqlite3', 'smtplib', 'tarfile') if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_settings_on_the_page_are_settings(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "coming-from" / "timerjobs.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"(?s)```toml\n(.*?)```", page)
    assert offered(tmp_path, text) == ["Time", "File", "Backup", "Email"]
