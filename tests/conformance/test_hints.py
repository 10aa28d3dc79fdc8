"""What hints are made from is read alike from both stores."""

import json

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE, path_scope
from orchestrator.domain.task import Outputs
from orchestrator.store.reads.hints import Place
from tests.serving import Server
from worker_client.contract.enums import LogStream

pytestmark = pytest.mark.anyio
LINE = ops.LogLine("text", LogStream.STDOUT, None)


async def test_progress_last_lines_and_what_changed(server: Server) -> None:
    reads = server.queue.reads
    other = await server.add("/b", host="box")
    task = await server.add("/a")
    began = server.queue.now()
    assert await reads.changed_since(began, 10) == []
    assert await reads.progress([task, other]) == []
    grant = await server.take()
    server.time.pass_(5)
    heartbeat = ops.Heartbeat(task_id=task, lease=grant.lease)
    await server.do(replace(heartbeat, outputs=Outputs(progress='{"percent":3}')))
    await server.do(ops.AppendLogs(task_id=task, lease=grant.lease, lines=(LINE, LINE)))
    place = Place(task, "/a", "", "running")
    ((found, progress, usage),) = await reads.progress([task, other])
    assert (found, json.loads(progress or ""), usage) == (place, {"percent": 3}, None)
    assert sorted(await reads.last_lines([task, other, 999]), key=lambda row: row[0].task_id) == [
        (Place(other, "/b", "box", "waiting"), 0),
        (place, 2),
    ]
    assert await reads.changed_since(began + 5, 10) == [(task, began + 5)]
    assert await reads.changed_since(began + 6, 10) == []
    assert await reads.progress([]) == []
    assert await reads.last_lines([]) == []


async def test_where_the_output_of_a_lease_begins(server: Server) -> None:
    reads = server.queue.reads
    task, _ = await server.add("/a"), await server.add("/b")
    grant, other = await server.take(), await server.take("/b")
    assert sorted(await reads.lines_of_running(EVERYWHERE, 10)) == [(task, 0), (other.task_id, 0)]
    await server.do(ops.AppendLogs(task_id=task, lease=grant.lease, lines=(LINE, LINE)))
    assert await reads.lines_of_running(path_scope(["/a"]), 10) == [(task, 2)]
    assert len(await reads.lines_of_running(EVERYWHERE, 1)) == 1
    assert await reads.lines_before_lease(task) == 0
    await server.do(ops.Release(task_id=task, lease=grant.lease))
    grant = await server.take()
    await server.do(ops.AppendLogs(task_id=task, lease=grant.lease, lines=(LINE,)))
    assert await reads.lines_before_lease(task) == 2
    assert await reads.lines_before_lease(999) == 0
    by_status, throughput = await reads.pace(server.queue.now(), path_scope(["/a"]))
    assert (by_status["running"], by_status["waiting"], throughput["1h"].created) == (1, 0, 1)
