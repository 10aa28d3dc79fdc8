"""Every kind of store passes the same suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import STORES, Rig


@pytest.fixture(params=STORES)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A fresh store of each kind, with its time in the test's hand."""
    rig = Rig(tmp_path, request.param)
    yield rig
    rig.close()
