"""Notifications over HTTP: what receivers get, however they behave, and who may do what."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from orchestrator.settings import Auth, Notify, Server
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from tests.receiver import OK, Call, Receiver, answer, receiving

pytestmark = pytest.mark.anyio

SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw=="
SETTINGS: Any = {
    "notify": Notify(allow_private=("127.0.0.0/8",), retry_seconds=0.1, timeout=1, tries=50),
    "server": Server(port=0, public_url="https://tasks.example.org/x"),
}


@pytest.fixture(scope="module")
async def served(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("told") / "tasks.db", **SETTINGS) as running:
        yield running


@pytest.fixture
async def told(served: Running) -> AsyncIterator[Running]:
    """A server without any rules."""
    yield served
    for one in (await served.get("/notifications/rules"))["items"]:
        await served.client.delete(f"/notifications/rules/{one['id']}")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def rule(server: Running, receiver: Receiver, **wanted: Any) -> Any:
    body = {"name": "r", "events": ["task.*"], "webhook": {"url": receiver.url, "secret": SECRET}, **wanted}
    return await server.post("/notifications/rules", body)


async def tried(server: Running) -> Any:
    """The only message, once it was tried."""
    while not (item := (await server.get("/notifications/deliveries"))["items"][0])["tries"]:  # noqa: ASYNC110 - it is no event
        await asyncio.sleep(0.01)
    return item


async def rule_off(server: Running, path: str) -> Any:
    """A rule once it is off."""
    with server.queue.feed.reader() as bell:
        async with asyncio.timeout(10):
            while (now := await server.get(path))["enabled"]:
                await bell.wait()
                bell.clear()
    return now


async def fail(server: Running, directory: str, **more: Any) -> Any:
    task = await server.task(directory, **more)
    claim = await server.claim(directory)
    error = {"type": "Broken", "message": "the tests <fail>"}
    await server.post(f"/tasks/{claim['id']}/fail", {"lease": claim["lease"], "error": error, "retryable": False})
    return task


async def test_a_webhook_gets_a_signed_body_with_what_happened(told: Running, receiver: Receiver) -> None:
    made = await rule(told, receiver, events=["task.failed"])
    assert made["webhook"] == {"url": receiver.url, "secret": "***"}
    task = await fail(told, "/srv/shop", title="Fix the login", prompt="A secret plan", tags=["a"])
    await receiver.until(lambda: receiver.taken)
    (call,) = receiver.taken
    Webhook(SECRET).verify(call.raw, call.headers)
    body = call.body
    summary = f"Task {task['id']} 'Fix the login' in /srv/shop failed for good: Broken: the tests <fail>"
    assert body["type"] == body["data"]["event"]["type"] == "task.failed"
    assert body["timestamp"] == body["data"]["event"]["at"]
    assert body["data"]["summary"] == summary
    assert body["data"]["rule"] == {"id": made["id"], "name": "r"}
    page = {"page": f"https://tasks.example.org/x/tasks/{task['id']}"}
    assert page.items() <= body["data"]["links"].items()
    shown = body["data"]["task"]
    assert (shown["title"], shown["status"], shown["attempt"], shown["tags"]) == ("Fix the login", "failed", 1, ["a"])
    assert shown["error"] == {"type": "Broken", "message": "the tests <fail>"}
    assert "secret plan" not in call.raw.decode()
    delivery = await tried(told)
    assert (delivery["status"], delivery["tries"], delivery["answered"]) == ("delivered", 1, 204)
    assert (delivery["message_id"], delivery["rule"], delivery["task_id"]) == (call.id, "r", task["id"])


async def test_a_question_comes_with_its_options(told: Running, receiver: Receiver) -> None:
    await rule(told, receiver, events=["task.parked"])
    await told.task("/q", title="Choose")
    claim = await told.claim("/q")
    asked = {"lease": claim["lease"], "reason": "question", "question": "Which?", "options": ["left", "right"]}
    await told.post(f"/tasks/{claim['id']}/park", asked)
    await receiver.until(lambda: receiver.taken)
    data = receiver.taken[0].body["data"]
    assert data["summary"] == f"Task {claim['id']} 'Choose' in /q asks: Which? (left / right)"
    assert (data["task"]["question"], data["task"]["options"]) == ("Which?", ["left", "right"])


def heard(receiver: Receiver) -> dict[int, list[str]]:
    """What was taken of each task, in the order of the first times."""
    found: dict[int, dict[str, str]] = {}
    for call in receiver.taken:
        kind, task_id = call.event
        found.setdefault(task_id or 0, {}).setdefault(call.id, kind)
    return {task_id: list(kinds.values()) for task_id, kinds in found.items()}


async def test_a_receiver_that_fails_half_the_time_and_restarts_gets_everything_in_order(
    told: Running, receiver: Receiver
) -> None:
    chance = random.Random(7)
    hanging = asyncio.Event()
    failed: Counter[str] = Counter()

    async def badly(call: Call) -> bytes | None:
        failed[call.id] += 1
        if failed[call.id] > 2:
            return OK
        match chance.randrange(8):
            case 0:
                return answer(500)
            case 1:
                return None
            case 2:
                return OK[:20]
            case 3:
                await hanging.wait()
                return None
        return OK

    made = await rule(told, receiver)
    receiver.behave = badly
    tasks = []
    for number in range(8):
        tasks.append(await fail(told, f"/busy/{number}"))
        if number in {3, 6}:
            await receiver.stop()
            await receiver.start()
    wanted = {task["id"]: ["task.created", "task.claimed", "task.failed"] for task in tasks}
    await receiver.until(lambda: heard(receiver) == wanted, patience=60)
    hanging.set()
    assert len(receiver.calls) > len(receiver.taken)
    bodies = {(call.id, call.raw) for call in receiver.calls}
    assert len(bodies) == len({call.id for call in receiver.calls})
    assert made["enabled"]


async def test_one_that_hangs_and_one_that_nobody_can_call_hold_up_no_other(told: Running, receiver: Receiver) -> None:
    async with receiving() as other:
        never = asyncio.Event()

        async def hang() -> None:
            await never.wait()

        other.behave = lambda _call: hang()
        await rule(told, other, name="hangs")
        await rule(told, receiver, name="broken", webhook={"url": "http://127.0.0.1:1/"})
        await rule(told, receiver, name="good")
        tasks = [await told.task(f"/many/{number}") for number in range(20)]
        await receiver.until(lambda: len(receiver.taken) == len(tasks), patience=10)
        assert other.calls
        never.set()


async def test_redirects_are_not_followed_and_private_addresses_not_called(tmp_path: Path, receiver: Receiver) -> None:
    receiver.behave = lambda _call: answer(302, Location="http://127.0.0.1:1/")
    strict: Any = {**SETTINGS, "notify": Notify()}
    async with serving(tmp_path / "one.db", **SETTINGS) as server, serving(tmp_path / "two.db", **strict) as other:
        made = await rule(server, receiver)
        tested = await server.post(f"/notifications/rules/{made['id']}/test")
        assert (tested["delivered"], tested["status"]) == (False, 302)
        assert "redirects are not followed" in tested["reason"]
        calls = len(receiver.calls)
        for number, host in enumerate(("127.0.0.1", "localhost", "[::1]", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254")):
            made = await rule(other, receiver, name=f"{number}", webhook={"url": f"http://{host}:{receiver.port}/"})
            tested = await other.post(f"/notifications/rules/{made['id']}/test")
            assert not tested["delivered"], host
            assert "allow_private" in tested["reason"] or "no connection" in tested["reason"], (host, tested)
        assert len(receiver.calls) == calls


async def test_a_test_tells_what_the_receiver_said(told: Running, receiver: Receiver) -> None:
    made = await rule(told, receiver, enabled=False)
    receiver.behave = lambda _call: answer(200, "thank you")
    tested = await told.post(f"/notifications/rules/{made['id']}/test")
    assert (tested["delivered"], tested["status"], tested["answer"]) == (True, 200, "thank you")
    (call,) = receiver.calls
    assert (call.event, call.body["data"]["task"]) == (("notification.test", None), None)
    assert (await told.get("/notifications/deliveries"))["total"] == 0
    receiver.behave = lambda _call: None
    tested = await told.post(f"/notifications/rules/{made['id']}/test")
    assert (tested["delivered"], tested["status"]) == (False, None)


async def test_one_that_is_gone_turns_the_rule_off_and_what_it_missed_can_be_sent_again(
    told: Running, receiver: Receiver
) -> None:
    made = await rule(told, receiver, events=["task.created"])
    path = f"/notifications/rules/{made['id']}"
    receiver.behave = lambda _call: answer(410)
    await told.task("/gone")
    await receiver.until(lambda: receiver.calls)
    now = await rule_off(told, path)
    assert "410" in now["disabled_reason"]
    await told.refused("POST", f"{path}/redeliver", 409)
    receiver.behave = lambda _call: OK
    on = await told.client.put(path, json={"enabled": True, "version": now["version"]})
    assert on.json()["data"]["disabled_reason"] is None
    assert (await told.post(f"{path}/redeliver"))["count"] == 1
    await receiver.until(lambda: receiver.taken)
    assert receiver.taken[0].id == receiver.calls[0].id
    delivery = await tried(told)
    await told.post(f"/notifications/deliveries/{delivery['id']}/redeliver")
    await receiver.until(lambda: len(receiver.taken) == 2)


async def test_retry_after_is_honoured(told: Running, receiver: Receiver) -> None:
    await rule(told, receiver, events=["task.created"])
    receiver.behave = lambda _call: answer(503, Retry_After="3600")
    await told.task("/later")
    await receiver.until(lambda: receiver.calls)
    item = await tried(told)
    assert item["status"] == "pending"
    assert item["next_try_at"] > item["last_try_at"]
    metrics = (await told.client.get(f"{told.address}/metrics")).text
    assert 'notification_tries_total{outcome="failed",via="webhook"}' in metrics
    assert "notification_oldest_undelivered_seconds" in metrics


async def test_slack_gets_text_in_which_nothing_is_markup(told: Running, receiver: Receiver) -> None:
    made = await rule(told, receiver, events=["task.failed"], webhook=None, slack={"url": receiver.url})
    assert made["slack"] == {"url": "***"}
    task = await fail(told, "/slack", title="<!channel> & co")
    await receiver.until(lambda: receiver.taken)
    text = receiver.taken[0].body["text"]
    assert text == (
        f"Task {task['id']} '&lt;!channel&gt; &amp; co' in /slack failed for good: Broken: the tests &lt;fail&gt;\n"
        f"<https://tasks.example.org/x/tasks/{task['id']}>"
    )


async def test_a_task_that_nobody_takes_is_told_of(told: Running, receiver: Receiver) -> None:
    await rule(told, receiver, events=[], waiting_seconds=1, work_path=["/waits"])
    task = await told.task("/waits")
    await receiver.until(lambda: receiver.taken)
    (call,) = receiver.taken
    assert call.event == ("task.waiting_long", task["id"])
    assert "has been waiting for" in call.body["data"]["summary"]


WRONG: Any = (
    ({"webhook": {"url": "ftp://example.org"}}, "webhook.url"),
    ({"webhook": {"url": "https://me:pass@example.org"}}, "webhook.url"),
    ({"webhook": {"url": "https://example.org", "secret": "hunter2"}}, "webhook.secret"),
    ({"webhook": {"url": "https://example.org", "secret": "***"}}, "webhook.secret"),
    ({"webhook": None, "slack": {"url": "hunter2"}}, "slack.url"),
    ({"webhook": None, "email": {"to": ["a@b"], "subject": "{{ tsak.title }}"}}, "email.subject"),
    ({"webhook": None, "email": {"to": ["a@b\nBcc: c@d"]}}, "email.to[0]"),
    ({"webhook": None}, "webhook"),
    ({"events": []}, "events"),
    ({"events": ["task failed"]}, "events[0]"),
    ({"work_path": ["relative"]}, "work_path[0]"),
)
"""What is sent, and the field that is refused."""


async def test_what_cannot_work_is_refused_with_its_field(told: Running, receiver: Receiver) -> None:
    for change, field in WRONG:
        body = {"name": "r", "events": ["task.*"], "webhook": {"url": receiver.url}, **change}
        body = {name: value for name, value in body.items() if value is not None}
        error = await told.refused("POST", "/notifications/rules", 400, json=body)
        assert error["details"]["field"] == field, error
        assert "hunter2" not in str(error)


def stored(folder: Path) -> bytes:
    """All bytes of a database."""
    return b"".join(file.read_bytes() for file in folder.glob("tasks.db*"))


async def test_secrets_stay_where_they_are(told: Running, receiver: Receiver) -> None:
    made = await rule(told, receiver, events=["task.created"])
    path = f"/notifications/rules/{made['id']}"
    changed = await told.client.put(path, json={"webhook": {"url": receiver.url, "secret": "***"}, "tags": []})
    assert changed.is_success
    await told.task("/again")
    await receiver.until(lambda: receiver.taken)
    Webhook(SECRET).verify(receiver.taken[0].raw, receiver.taken[0].headers)
    assert "c2VjcmV0" not in changed.text
    assert b"c2VjcmV0" not in await asyncio.to_thread(stored, told.app.state.store.path.parent)


async def test_the_longest_secrets_fit_once_they_are_sealed(told: Running, receiver: Receiver) -> None:
    secret = "whsec_" + base64.b64encode(bytes(369)).decode()
    slack = receiver.url + "/" + "x" * (1999 - len(receiver.url))
    for number, target in enumerate(({"webhook": {"url": slack, "secret": secret}}, {"slack": {"url": slack}})):
        made = await told.post("/notifications/rules", {"name": f"long-{number}", "events": ["run.*"], **target})
        assert (await told.get(f"/notifications/rules/{made['id']}"))["id"] == made["id"]


async def test_a_rule_of_a_limited_key_hears_of_its_directories_alone(tmp_path: Path, receiver: Receiver) -> None:
    async with serving(tmp_path / "t.db", **SETTINGS, auth=Auth(bootstrap_key=BOOTSTRAP)) as server:
        keys = Keys(server)
        limited = bearer(await keys.make("limited", "admin", paths=["/mine/**"]))
        reader = bearer(await keys.make("reader", "read"))
        body = {"name": "r", "events": ["*"], "webhook": {"url": receiver.url}}
        made = (await server.client.post("/notifications/rules", json=body, headers=limited)).json()["data"]
        body["work_path"] = ["/theirs"]
        await server.refused("POST", "/notifications/rules", 403, json={**body, "name": "x"}, headers=limited)
        await server.refused("POST", "/notifications/rules", 403, json={**body, "name": "y"}, headers=reader)
        theirs = await keys.ask("POST", "/notifications/rules", json=body)
        for call, path in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/redeliver")):
            await server.refused(call, f"/notifications/rules/{theirs['id']}{path}", 404, headers=limited)
        for path in ("/theirs/a", "/mine/a", "/theirs/b", "/mine"):
            await keys.ask("POST", "/tasks", json={"work_directory": path, "prompt": "Do it"})
        await receiver.until(lambda: len(receiver.taken) >= 4)
        mine = [call.body["data"] for call in receiver.taken if call.body["data"]["rule"]["id"] == made["id"]]
        assert {data["event"]["work_directory"] for data in mine} == {"/mine/a", "/mine"}
        listed = await server.client.get("/notifications/deliveries", headers=limited)
        assert {item["rule_id"] for item in listed.json()["data"]["items"]} == {made["id"]}
