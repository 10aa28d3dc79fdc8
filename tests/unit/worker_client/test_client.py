"""The client against a server that fails in every way a network can."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.unit.worker_client.peer import NOW, Asked, Peer, Reply, Respond, lost, task_json
from worker_client import endpoints
from worker_client.client import AsyncClient, Client
from worker_client.contract.enums import Status
from worker_client.contract.events import Event
from worker_client.contract.tasks import ClaimNext, CreateTask, ListTasks
from worker_client.errors import (
    Conflict,
    LeaseLost,
    NotFound,
    OrchestratorError,
    Overloaded,
    ServerUnreachable,
    UnexpectedAnswer,
)
from worker_client.exchange import Retries, query_of
from worker_client.feed import Reset

QUICK = Retries(attempts=4, seconds=10, first=0.01, most=0.02)


def answers(*replies: Reply | None) -> Respond:
    left = list(replies)

    async def respond(asked: Asked) -> Reply | None:
        return left.pop(0) if len(left) > 1 else left[0]

    return respond


def client_of(peer: Peer, **options: Any) -> Client:
    return Client(peer.url, retries=QUICK, **options)


def test_a_query_says_only_what_differs_from_the_defaults() -> None:
    query = ListTasks(
        status=[Status.WAITING, Status.RUNNING], recursive=True, q="a&b", created_after=datetime(2026, 1, 2, tzinfo=UTC), limit=50
    )
    assert query_of(query) == [
        ("status", "waiting"),
        ("status", "running"),
        ("recursive", "true"),
        ("q", "a&b"),
        ("created_after", "2026-01-02T00:00:00Z"),
    ]
    assert query_of(ClaimNext(work_path=["/a", "/b"], worker_id="w", wait=0)) == [
        ("work_path", "/a"),
        ("work_path", "/b"),
        ("worker_id", "w"),
        ("wait", "0"),
    ]


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer(answers(Reply(data=task_json()))) as peer:
        monkeypatch.setenv("ORCHESTRATOR_URL", peer.url + "/prefix/")
        monkeypatch.setenv("ORCHESTRATOR_API_KEY", "secret")
        with Client() as client:
            assert client.get(7).id == 7
        assert peer.asked[0].path == "/prefix/api/v1/tasks/7"
        assert peer.asked[0].headers["authorization"] == "Bearer secret"


def test_a_create_whose_answer_was_lost_is_sent_again_with_the_same_key() -> None:
    created = {**task_json(), "created": False}

    async def respond(asked: Asked) -> Reply | None:
        if len(peer.asked) == 1:
            return None
        return Reply(200, {**created, "key": asked.body["key"]})

    with Peer(respond) as peer, client_of(peer) as client:
        task = client.create(prompt="x", work_directory="/a")
        first, second = (asked.body for asked in peer.asked)
    assert first == second
    assert first["key"]
    assert task.created, "the caller asked once, and once it was created"


def test_the_callers_own_key_is_kept_and_what_it_says_too() -> None:
    with Peer(answers(Reply(200, {**task_json(key="mine"), "created": False}))) as peer, client_of(peer) as client:
        assert not client.create(prompt="x", work_directory="/a", key="mine").created
        assert peer.asked[0].body["key"] == "mine"


def test_a_batch_gets_a_key_per_task() -> None:
    with Peer(answers(Reply(201, {"tasks": []}))) as peer, client_of(peer) as client:
        client.create_many(tasks=[CreateTask(prompt="a"), CreateTask(prompt="b", key="mine"), CreateTask(prompt="c")])
        keys = [task["key"] for task in peer.asked[0].body["tasks"]]
    assert keys[1] == "mine"
    assert len(set(keys)) == 3


def test_a_claim_is_repeated_with_the_same_poll_id_and_every_claim_has_its_own() -> None:
    with Peer(answers(None, Reply(data=None))) as peer, client_of(peer) as client:
        assert client.claim(work_path=["/a"], worker_id="w", wait=0) is None
        client.claim(work_path=["/a"], worker_id="w", wait=0)
        first, again, other = (asked.query["poll_id"] for asked in peer.asked)
    assert first == again != other


def test_a_report_that_had_been_applied_is_success() -> None:
    done = Reply(data=task_json(status="completed"))
    with Peer(answers(None, lost("already_applied"), done)) as peer, client_of(peer) as client:
        assert client.complete(7, lease="7.1.ab", result={"x": 1}).status is Status.COMPLETED
        assert [asked.method for asked in peer.asked] == ["POST", "POST", "GET"]


def test_a_report_with_a_lost_lease_is_refused() -> None:
    with Peer(answers(lost("reclaimed"))) as peer, client_of(peer) as client:
        with pytest.raises(LeaseLost) as caught:
            client.fail(7, lease="7.1.ab")
        assert caught.value.reason == "reclaimed"
        assert len(peer.asked) == 1


def test_what_may_not_be_repeated_is_not_and_says_so() -> None:
    with Peer(answers(None)) as peer, client_of(peer) as client:
        with pytest.raises(ServerUnreachable, match="not known"):
            client.retry(7)
        assert len(peer.asked) == 1


def test_retry_after_is_waited_for() -> None:
    refused = Reply(503, error=("OVERLOADED", "busy", {}), headers={"retry-after": "0.3"})
    with Peer(answers(refused, Reply(data=task_json()))) as peer, client_of(peer) as client:
        started = time.monotonic()
        client.retry(7)
        assert time.monotonic() - started >= 0.3
        assert len(peer.asked) == 2, "nothing was done, so that even this may be sent again"


def test_after_so_many_tries_the_error_comes_through() -> None:
    refused = Reply(503, error=("OVERLOADED", "busy", {}), headers={"retry-after": "0"})
    with Peer(answers(refused)) as peer, client_of(peer) as client:
        with pytest.raises(Overloaded):
            client.get(7)
        assert len(peer.asked) == 4


def test_nobody_there() -> None:
    with Peer(answers(None)) as peer:
        url = peer.url
    with pytest.raises(ServerUnreachable, match=r"orchestrator serve.*ORCHESTRATOR_URL") as caught:
        Client(url, retries=QUICK).get(7)
    assert url in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, raw=b"<html>Welcome</html>", headers={"content-type": "text/html"}),
        Reply(404, raw=b"not here", headers={"content-type": "text/plain"}),
        Reply(200, data={"id": "seven"}),
    ],
)
def test_another_server_than_ours(reply: Reply) -> None:
    with Peer(answers(reply)) as peer, client_of(peer) as client:
        with pytest.raises(UnexpectedAnswer, match="ORCHESTRATOR_URL"):
            client.get(7)
        assert len(peer.asked) == 1


def test_a_gateways_error_is_worth_another_try_of_what_is_harmless() -> None:
    bad = Reply(502, raw=b"<html>", headers={"content-type": "text/html"})
    with Peer(answers(bad, Reply(data=task_json()))) as peer, client_of(peer) as client:
        assert client.get(7).id == 7
        assert len(peer.asked) == 2


def test_errors_are_those_of_the_contract() -> None:
    with Peer(answers(Reply(404, error=("NOT_FOUND", "there is no task 7", {"task_id": 7})))) as peer, client_of(peer) as client:
        with pytest.raises(NotFound, match="no task 7") as caught:
            client.get(7)
        assert caught.value.details == {"task_id": 7}


def test_a_code_of_a_newer_server_is_still_an_error() -> None:
    with (
        Peer(answers(Reply(418, error=("TEAPOT", "no coffee", {})))) as peer,
        client_of(peer) as client,
        pytest.raises(OrchestratorError, match="coffee"),
    ):
        client.get(7)


def test_a_health_that_is_bad_is_an_answer() -> None:
    health = (
        b'{"status":"unhealthy","timestamp":"2026-11-20T10:00:00Z","version":"1","uptime":"1m","components":{},'
        b'"metrics":{"memory_usage":"78MB","cpu_usage":1,"active_connections":0,"queue_size":0}}'
    )
    with Peer(answers(Reply(503, raw=health))) as peer, client_of(peer) as client:
        assert client.health().status == "unhealthy"


def test_no_content() -> None:
    with Peer(answers(Reply(204, raw=b""))) as peer, client_of(peer) as client:
        client.delete(7)
        assert peer.asked[0].method == "DELETE"


def test_logs_as_text_and_as_lines() -> None:
    line = {"number": 1, "lease_no": 1, "at": NOW, "stream": "stdout", "text": "hi"}

    async def respond(asked: Asked) -> Reply:
        if asked.query.get("format") == ["text"]:
            return Reply(raw=b"hi\n", headers={"content-type": "text/plain"})
        after = int(asked.query.get("after", ["0"])[0])
        lines = [{**line, "number": number} for number in range(after + 1, min(after + 2, 5))]
        return Reply(data={"lines": lines, "next_after": after + len(lines), "final": after >= 3})

    with Peer(respond) as peer, client_of(peer) as client:
        assert client.logs_as_text(7) == "hi\n"
        assert [one.number for one in client.follow_logs(7)] == [1, 2, 3, 4]


def event(number: int) -> bytes:
    return (
        f'id: e{number}\nevent: task.created\ndata: {{"id":"e{number}","type":"task.created","at":"{NOW}","task_id":{number},'
        f'"work_directory":"/a","host":"","status":"waiting","data":{{}}}}\n\n'
    ).encode()


def test_the_feed_goes_on_after_an_interruption_and_says_when_it_can_not() -> None:
    stream = {"content-type": "text/event-stream", "content-length": "", "connection": "close"}

    async def respond(asked: Asked) -> Reply:
        parts = {
            None: b": hello\nretry: 10\n\n" + event(1) + event(2) + b"data: half",
            "e2": b'id: e9\nevent: reset\ndata: {"reason":"behind"}\n\n',
            "e9": event(10),
        }
        return Reply(raw=parts[asked.headers.get("last-event-id")], headers=stream)

    with Peer(respond) as peer, client_of(peer) as client:
        events: Iterator[Event | Reset] = client.events(work_path=["/a"])
        first, second, reset, third = (next(events) for _ in range(4))
        assert peer.asked[0].query["work_path"] == ["/a"]
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert second.task_id == 2
    assert reset == Reset("e9", {"reason": "behind"})
    assert isinstance(third, Event)
    assert third.task_id == 10


def test_a_feed_that_is_refused() -> None:
    with Peer(answers(Reply(409, error=("CONFLICT", "no", {})))) as peer, client_of(peer) as client, pytest.raises(Conflict):
        next(client.events())


def test_the_async_client_does_the_same() -> None:
    stream = {"content-type": "text/event-stream", "content-length": "", "connection": "close"}

    async def respond(asked: Asked) -> Reply | None:
        if asked.path.endswith("/events"):
            return Reply(raw=event(1), headers=stream)
        if asked.path.endswith("/logs"):
            return Reply(data={"lines": [], "next_after": 0, "final": True})
        if asked.method == "POST":
            return None if len(peer.asked) == 1 else lost("already_applied")
        return Reply(data=task_json(status="completed"))

    async def scenario() -> None:
        async with AsyncClient(peer.url, retries=QUICK) as client:
            assert (await client.complete(7, lease="7.1.ab")).status is Status.COMPLETED
            assert [line async for line in client.follow_logs(7)] == []
            async for one in client.events():
                assert isinstance(one, Event)
                break
        with pytest.raises(ServerUnreachable):
            await AsyncClient("http://127.0.0.1:1", retries=QUICK).get(7)

    with Peer(respond) as peer:
        asyncio.run(scenario())


def test_a_cancelled_poll_hangs_up_at_once() -> None:
    held, gone = threading.Event(), threading.Event()

    async def respond(asked: Asked) -> Reply:
        held.set()
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()
        return Reply()

    async def scenario() -> None:
        async with AsyncClient(peer.url) as client:
            poll = asyncio.create_task(client.claim(work_path=["/a"], worker_id="w"))
            assert await asyncio.to_thread(held.wait, 5)
            poll.cancel()
            with pytest.raises(asyncio.CancelledError):
                await poll
            assert await asyncio.to_thread(gone.wait, 5)

    with Peer(respond) as peer:
        asyncio.run(scenario())


def test_a_transport_can_be_put_in() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"success": True, "data": task_json(), "error": None, "timestamp": NOW})

    assert Client("http://inside", transport=httpx.MockTransport(answer)).send(endpoints.get_task(7)).id == 7
