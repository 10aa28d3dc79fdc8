"""A real server reads a real mailbox: a mail begins one run, wherever the server dies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.programs import ROOT, Server, end, serving, until
from tests.mail.office import eventually
from tests.post import PASSWORD, USER, Post, Wire, mail

STEP = {"id": "do", "task": {"work_directory": "/a", "prompt": "{{ input.from }}: {{ input.subject }}\n{{ input.text }}"}}


@pytest.fixture
def post() -> Iterator[Post]:
    with closing(Post()) as found:
        yield found


def variables(port: int) -> dict[str, str]:
    given = {"SERVER": "127.0.0.1", "PORT": str(port), "USER": USER, "PASSWORD": PASSWORD, "TLS": "none", "CHECK_INTERVAL": "1"}
    return {f"APP_EMAIL_{name}": value for name, value in given.items()}


class Api:
    """What the tests ask a server."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.Client(base_url=f"{server.url}/api/v1", timeout=20)

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, **body: Any) -> Any:
        answer = self._client.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def deployed(self, *triggers: dict[str, Any]) -> str:
        made = self.ask("POST", "/workflows", name="mails", steps=[STEP], triggers=[{"type": "email", **one} for one in triggers])
        self.ask("POST", f"/deployment/workflows/{made['id']}/deploy")
        return str(made["id"])

    def prompts(self) -> list[str]:
        return sorted(task["prompt"] for task in self.ask("GET", "/tasks")["items"])

    def status(self, workflow_id: str) -> dict[str, Any]:
        (found,) = self.ask("GET", f"/triggers/workflows/{workflow_id}/status")["triggers"]
        return dict(found)


def test_a_mail_begins_a_run_with_what_it_says(post: Post, tmp_path: Path) -> None:
    with serving(tmp_path, **variables(post.port)) as server, closing(Api(server)) as api:
        workflow = api.deployed({"from": "@example.com", "subject": "deploy"})
        other = post.put(mail("lunch?", number=1))
        uid = post.put(mail("deploy it", number=2, body="Now. {{ secrets.TOKEN }} {{ 7 * 7 }}"))
        until(lambda: api.prompts() or None)
        assert api.prompts() == ["ann@example.com: deploy it\nNow. { { secrets.TOKEN }} {{ 7 * 7 }}"]
        eventually(lambda: post.seen() == {other: False, uid: True})
        status = until(lambda: found if (found := api.status(workflow))["last_outcome"] else None)
        assert (status["failing"], status["active"]) == (None, True)
    log = (tmp_path / "server.log").read_text()
    assert "trigger_fired" in log
    assert not [word for word in ("ann@example", "deploy it", "lunch", PASSWORD) if word in log]


def test_who_waits_for_no_mail_pays_for_none() -> None:
    code = "import sys, orchestrator.app; print({'imaplib', 'imap_tools'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_without_the_libraries_all_else_works_and_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules |= dict.fromkeys(('imap_tools', 'aiosmtplib'))")
    smtp = {"APP_NOTIFY_SMTP_SERVER": "smtp.invalid", "APP_NOTIFY_SMTP_FROM": "ops@example.org"}
    given = variables(143) | smtp | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    remedy = "pip install 'task-orchestrator[email]'"
    with serving(tmp_path, **given) as server, closing(Api(server)) as api:
        log = (tmp_path / "server.log").read_text()
        assert [log.count(words) for words in (remedy, "email.server", "notify.smtp_server")] == [2, 1, 1]
        workflow = api.deployed({})
        told = until(lambda: api.status(workflow)["failing"])
        assert told.startswith("email.server: ")
        assert remedy in told
        rule = api.ask("POST", "/notifications/rules", name="mails", events=["task.created"], email={"to": ["ann@example.org"]})
        told = api.ask("POST", f"/notifications/rules/{rule['id']}/test")["reason"]
        assert told.startswith("notify.smtp_server: ")
        assert remedy in told
        assert api.ask("POST", "/tasks", work_directory="/a", prompt="x")["status"] == "waiting"


@pytest.mark.system
def test_why_no_mail_comes_is_told(post: Post, tmp_path: Path) -> None:
    given = variables(post.port) | {"APP_EMAIL_PASSWORD": "another one"}
    with serving(tmp_path, **given) as server, closing(Api(server)) as api:
        workflow = api.deployed({})
        told = until(lambda: api.status(workflow)["failing"])
        assert told.startswith("the server refuses email.user with email.password")
        health = api.ask("GET", "/triggers/health")
        assert (health["healthy"], health["failing"][0]["failing"]) == (False, told)
    with serving(tmp_path) as server, closing(Api(server)) as api:
        until(lambda: str(api.status(workflow)["failing"]).startswith("email.server is not set"))


@pytest.mark.system
def test_a_killed_server_takes_no_mail_twice_and_loses_none(post: Post, tmp_path: Path) -> None:
    with serving(tmp_path, **variables(post.port)) as server, closing(Api(server)) as api:
        api.deployed({})
        post.put(mail("one", number=1))
        until(lambda: len(api.prompts()) == 1)
        end(server.process, 9)
    post.put(mail("two", number=2), seen=True)
    with serving(tmp_path, **variables(post.port)) as server, closing(Api(server)) as api:
        post.put(mail("three", number=3))
        until(lambda: len(api.prompts()) == 3)
        eventually(lambda: all(post.seen().values()))
        assert [prompt.split(":")[1].split()[0] for prompt in api.prompts()] == ["one", "three", "two"]


def test_a_server_that_is_killed_before_it_marks_a_mail_marks_it_later(post: Post, tmp_path: Path) -> None:
    uid = post.put(mail("one", number=1))
    with closing(Wire(post.port)) as wire:
        wire.stall(b"STORE")
        with serving(tmp_path, **variables(wire.port)) as server, closing(Api(server)) as api:
            workflow = api.deployed({})
            assert wire.stalled.wait(20)
            until(lambda: len(api.prompts()) == 1)
            end(server.process, 9)
    assert post.seen() == {uid: False}
    with serving(tmp_path, **variables(post.port)) as server, closing(Api(server)) as api:
        eventually(lambda: post.seen() == {uid: True})
        assert len(api.prompts()) == 1
        (again, first) = api.ask("GET", f"/triggers/workflows/{workflow}/deliveries")["items"]
        assert (again["outcome"], first["outcome"], again["run_id"]) == ("duplicate", "fired", first["run_id"])


@pytest.mark.system
def test_a_workflow_that_is_not_deployed_takes_no_mail(post: Post, tmp_path: Path) -> None:
    with serving(tmp_path, **variables(post.port)) as server, closing(Api(server)) as api:
        workflow = api.deployed({})
        post.put(mail("one", number=1))
        until(lambda: len(api.prompts()) == 1)
        api.ask("DELETE", f"/deployment/workflows/{workflow}/undeploy")
        until(lambda: not reads(server, post.port) or None)
        post.put(mail("two", number=2), seen=True)
        api.ask("POST", f"/deployment/workflows/{workflow}/deploy")
        post.put(mail("three", number=3))
        until(lambda: len(api.prompts()) == 2)
        assert [prompt.split(":")[1].split()[0] for prompt in api.prompts()] == ["one", "three"]


def reads(server: Server, port: int) -> bool:
    """Whether a server is connected to the mailbox."""
    connections = psutil.Process(server.process.pid).net_connections("tcp")
    return any(tuple(one.raddr)[1:] == (port,) and one.status == psutil.CONN_ESTABLISHED for one in connections)
