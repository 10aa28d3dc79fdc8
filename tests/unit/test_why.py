"""Why a task does not run: what those are told who see some directories alone, and of secrets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, PathScope, Principal, path_scope
from orchestrator.http.why import explained
from orchestrator.http.workers import _workers
from tests.rig import claim, interest
from tests.serving import Server, grants

pytestmark = pytest.mark.anyio
TENANT = path_scope(["/a/b/**"])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server("sqlite", tmp_path)
    await server.queue.start()
    yield server
    await server.queue.stop()


async def why(server: Server, task_id: int, visible: PathScope = EVERYWHERE) -> dict[str, str]:
    found = await explained((await server.view(task_id)).head, server.queue, visible)
    return {obstacle.code: obstacle.message for obstacle in found.obstacles}


def asks(server: Server, by: Principal) -> None:
    server.queue.presence.seen(by.id, interest("/a/b", by=by), None, server.queue.now())


async def test_counts_of_others_tasks_are_not_told(server: Server) -> None:
    server.queue.rules = replace(server.queue.rules, max_running=2)
    await server.do(ops.SetDirectory(path="/a", max_running=1))
    await server.do(ops.SetDirectory(path="/a/b", max_running=1))
    for path in ("/a/b", "/c", "/a/b"):
        await server.add(path)
    for path in ("/a/b", "/c"):
        await server.take(path)
    told = await why(server, 3)
    assert told["full"] == "2 tasks run on this server, and no more than 2 may."
    assert told["limited"] == "1 tasks run below /a/b, and no more than 1 may."
    head = (await server.view(3)).head
    found = [(one.code, one.message) for one in (await explained(head, server.queue, TENANT)).obstacles]
    assert found[:3] == [
        ("limited", "As many tasks run below a directory above it as may."),
        ("limited", "1 tasks run below /a/b, and no more than 1 may."),
        ("full", "As many tasks run on this server as may."),
    ]
    # Who sees a directory, but not what is below it, does not learn how much runs there.
    assert "As many tasks run below /a/b as may." in (await why(server, 3, path_scope(["/a/b"])))["limited"]


async def test_secrets_that_are_missing_or_that_nobody_may_use(server: Server) -> None:
    server.queue.rules = replace(server.queue.rules, secrets=frozenset({"A", "B"}))
    await server.add("/a/b", secrets="A B")
    assert "secret" not in await why(server, 1)
    asks(server, Principal("one", ALL_SCOPES, secrets=frozenset({"A"})))
    assert (await why(server, 1))["secret"] == "Nobody who asks for such tasks may use its secrets (A, B): allow a key to."
    asks(server, Principal("two", ALL_SCOPES, secrets=frozenset({"A", "B"})))
    assert await why(server, 1) == {}
    server.queue.rules = replace(server.queue.rules, secrets=frozenset({"A"}))
    assert "It asks for the secret B, which this server does not have" in (await why(server, 1))["secret"]


async def test_a_poll_is_told_when_a_secret_is_provided(server: Server) -> None:
    known = replace(server.queue.rules, secrets=frozenset({"A"}))
    server.queue.rules = known
    await server.add("/a/b", secrets="A")
    server.queue.rules = replace(known, secrets=frozenset())
    poll = await server.parked(claim(interest("/a/b")))
    server.queue.rules = known
    await server.do(ops.Note(type="settings.reloaded", data="{}"))
    assert grants(await poll) == [1]


async def test_what_a_worker_asks_for_elsewhere_is_not_told(server: Server) -> None:
    presence = server.queue.presence
    presence.seen("w", interest("/a/b", tags=("mine",), host="here"), "mine", 0)
    with presence.asking("w", interest("/c", tags=("theirs",), kinds=("script",), host="there"), "theirs", 1):
        (whole,) = _workers(presence.list(1), [], EVERYWHERE)
        (part,) = _workers(presence.list(1), [], TENANT)
    assert (whole.tags, whole.account, whole.work_paths, whole.host) == (["theirs"], "theirs", ["/a/b", "/c"], "there")
    assert (whole.polling, whole.last_seen_at) == (True, moment(1))
    assert (part.tags, part.account, part.work_paths, part.host, part.kinds) == (["mine"], None, ["/a/b"], "here", [])
    assert (part.polling, part.last_seen_at) == (False, moment(0))
    assert _workers(presence.list(1), [], path_scope(["/d"])) == []
