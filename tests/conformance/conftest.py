"""Every kind of store passes the same suite."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rig import STORES, Rig
from tests.serving import Server


@pytest.fixture(params=STORES)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A fresh store of each kind, with its time in the test's hand."""
    rig = Rig(tmp_path, request.param)
    yield rig
    rig.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Rig]:
    """A fresh SQLite store, for what only the one writer of a file can see."""
    rig = Rig(tmp_path, "sqlite")
    yield rig
    rig.close()


@pytest.fixture(params=STORES)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """A queue on a fresh store of each kind."""
    server = Server(request.param, tmp_path)
    await server.queue.start()
    yield server
    await server.queue.stop()
