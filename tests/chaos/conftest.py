"""Where database servers of these tests have their files."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, so that these tests test no disk."""
    found = "/dev/shm"  # noqa: S108 - a file system, not a file
    with tempfile.TemporaryDirectory(dir=found if os.access(found, os.W_OK) else None) as folder:
        yield Path(folder)
