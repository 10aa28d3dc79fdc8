"""`orchestrator notify`, against a server."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.programs import Server, serving, until
from tests.receiver import OK, Receiver, answer


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver in a thread of its own."""
    receiver, loop = Receiver(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(receiver.start(), loop).result()
    try:
        yield receiver
    finally:
        asyncio.run_coroutine_threadsafe(receiver.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def said(server: Server, *arguments: str, code: int = 0) -> str:
    ran = server.run("notify", *arguments)
    assert ran.returncode == code, ran.stderr + ran.stdout
    return ran.stdout + ran.stderr


@pytest.mark.system
def test_rules_are_made_tried_and_what_became_of_messages_is_shown(tmp_path: Path) -> None:
    settings = {"APP_NOTIFY_ALLOW_PRIVATE": "127.0.0.0/8", "APP_NOTIFY_TRIES": "1"}
    with receiving() as receiver, serving(tmp_path, **settings) as server:
        assert "orchestrator notify add" in said(server, "list")
        assert "say where to" in said(server, "add", "nowhere", "--event", "task.*", code=2)
        made = server.json("notify", "add", "new", "--event", "task.created", "--tag", "a", "--webhook", receiver.url)
        assert (made["events"], made["tags"], made["webhook"]["url"]) == (["task.created"], ["a"], receiver.url)
        assert "rule mails (2) is on: it tells of waiting for more than 30m" in said(
            server, "add", "mails", "--waiting", "30m", "--email", "ops@example.org", "--dir", "."
        )
        assert "delivered in" in said(server, "test", "new")
        assert "notify.smtp_server" in said(server, "test", "mails", code=1)
        receiver.behave = lambda _call: answer(500)
        assert server.run("add", "Do it", "--dir", ".", "--tag", "a").returncode == 0
        dead = until(lambda: server.json("notify", "deliveries", "--status", "dead")["items"])[0]
        assert (dead["rule"], dead["type"], dead["reason"]) == ("new", "task.created", "it answered 500")
        assert "it answered 500" in said(server, "deliveries", "--rule", "new")
        receiver.behave = lambda _call: OK
        assert json.loads(said(server, "redeliver", "--dead", "new", "--json"))["count"] == 1
        until(lambda: receiver.taken[-1:] and receiver.taken[-1].id == dead["message_id"])
        assert "is sent again" in said(server, "redeliver", str(dead["id"]))
        assert "is off" in said(server, "off", "new")
        assert "is on" in said(server, "on", "1")
        shown = said(server, "show", "new")
        assert "task.created; tags a" in shown
        assert "no rule has the name" in said(server, "remove", "nobody", code=3)
        assert "is deleted" in said(server, "remove", "new", "mails")
        assert server.json("notify", "list") == {"items": []}
