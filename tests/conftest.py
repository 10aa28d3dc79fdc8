"""What all tests share."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import postgres

# Two cores shared with other tests make single examples slow, never wrong.
settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, not a file
_made: list[Path] = []


def pytest_configure(config: pytest.Config) -> None:
    """Temporary folders in memory where there is such a file system: the tests commit some ten thousand times."""
    # Shells have what they start in the background ignore it, and so would all that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        _made.append(Path(tempfile.mkdtemp(prefix="orchestrator-state-")))
        os.environ["XDG_STATE_HOME"] = str(_made[-1])
    if config.option.basetemp is None and not hasattr(config, "workerinput") and os.access(_MEMORY, os.W_OK):
        _made.append(Path(tempfile.mkdtemp(prefix="orchestrator-tests-", dir=_MEMORY)))
        config.option.basetemp = _made[-1] / "run"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests of pages load what drives a browser: not where none of them will run."""
    unwanted = collection_path == Path(__file__).parent / "browser" and "not system" in config.option.markexpr
    return unwanted or None


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    postgres.stop_server()
    for path in _made:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio alone."""
    return "asyncio"
