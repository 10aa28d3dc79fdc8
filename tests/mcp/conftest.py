"""A server with keys, asked over MCP in both eras of the protocol."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from orchestrator.settings import Auth, Hidden, Limits
from tests.http.callers import BOOTSTRAP, bearer
from tests.http.conftest import Running, serving
from tests.mcp.speaking import ERAS, Agent, connected

SECRET: Final = "tok-5a1e"
LARGEST: Final = 1024 * 1024


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """One loop for a module's server and its tests, of the kind that serves."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module", params=list(ERAS))
def era(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("mcp") / "tasks.db"
    facts: dict[str, Any] = {"auth": Auth(bootstrap_key=BOOTSTRAP), "secret_variables": Hidden({"TOKEN": SECRET})}
    async with serving(path, limits=Limits(max_body_bytes=LARGEST), **facts) as running:
        running.client.headers.update(bearer(BOOTSTRAP))
        yield running


@pytest.fixture
async def agent(server: Running, era: str) -> AsyncIterator[Agent]:
    async with connected(server, era) as connection:
        yield connection


@pytest.fixture
def directory(request: pytest.FixtureRequest) -> str:
    return f"/mcp/{request.node.name}".replace("[", "/").replace("]", "")
