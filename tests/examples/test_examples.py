"""Each program in examples/ does what it says, against a server of its own."""

import hmac
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.agents import Claude, done
from tests.acceptance.programs import environment, until
from tests.examples.conftest import EXAMPLES, Stage
from worker_client import Backoff, ClaimedTask, Client, Status, TaskError

pytestmark = pytest.mark.system


def claimed(client: Client, directory: str, **more: Any) -> ClaimedTask:
    """The next task of a directory."""
    task = client.claim(work_path=[directory], worker_id="w", wait=30, **more)
    assert task is not None
    return task


def test_every_example_is_tried_and_says_how_it_is_run() -> None:
    tried = Path(__file__).read_text(encoding="utf-8")
    programs = [
        path for path in EXAMPLES.rglob("*") if path.suffix in {".py", ".sh", ".toml"} and "node_modules" not in path.parts
    ]
    assert len(programs) > 8
    for path in programs:
        name = path.relative_to(EXAMPLES).as_posix()
        assert f'"{name}"' in tried, name
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 80, name
        assert path.name in text, f"{name} does not say how it is run"
        assert name.partition("/")[0] in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_submit_and_wait(stage: Stage) -> None:
    with Client(stage.server.url) as client:

        def work(result: Any) -> None:
            task = claimed(client, stage.shop)
            client.complete(task.id, lease=task.lease, result=result)

        worker = threading.Thread(target=work, args=("ten commits",))
        worker.start()
        assert stage.run("submit_and_wait.py", stage.shop, "Summarise") == "ten commits\n"
        worker.join()
        # Again: it is known.
        assert stage.run("submit_and_wait.py", stage.shop, "Summarise") == "ten commits\n"
        assert client.list().total == 1


def test_script_worker(stage: Stage) -> None:
    Path(stage.shop, "cat.png").write_bytes(b"12345")
    with stage.running("script_worker.py", stage.shop):
        assert stage.worked(kind="script", spec={"command": "echo ok"}).status is Status.COMPLETED
        assert stage.worked(kind="thumbnail", prompt="cat.png").result == {"bytes": 5}
        failed = stage.worked(kind="thumbnail", prompt="dog.png")
        assert (failed.status, failed.attempt, failed.error.type) == (Status.FAILED, 1, "NoSuchPicture")


def test_async_worker(stage: Stage) -> None:
    with stage.running("async_worker.py", stage.shop):
        fetched = stage.worked(kind="fetch", prompt=f"{stage.server.url}/health/live")
        assert fetched.result["status"] == 200


def test_nightly(stage: Stage) -> None:
    first, again = (stage.run("nightly.py", stage.shop) for _ in range(2))
    assert first == again
    assert first.startswith("At 02:00")
    with Client(stage.server.url) as client:
        (schedule,) = client.schedules().items
        assert (schedule.cron, schedule.timezone) == ("0 2 * * *", "Europe/Berlin")


def test_claude_worker(stage: Stage) -> None:
    claude = Claude(Path(stage.server.folder, "ada"), done("All green."))
    with stage.running("claude_worker.py", stage.shop, **claude.variables):
        task = stage.worked(prompt="Fix it", spec={"verify": "true"})
        assert (task.status, task.result["text"]) == (Status.COMPLETED, "All green.")
    (call,) = claude.calls()
    assert call["cwd"] != stage.shop


def test_custom_agent(stage: Stage) -> None:
    Path(stage.shop, "a.txt").touch()
    settings = EXAMPLES / "custom_agent/worker.toml"
    variables = environment(**stage.variables | {"PATH": f"{settings.parent}:/usr/bin:/bin"})
    run = ["run", "--dir", stage.shop, "--agent", "counter", "--config", str(settings), "--max-tasks", "1"]
    with Client(stage.server.url) as client:
        task = client.create(work_directory=stage.shop, prompt="Count the files")
        subprocess.run([sys.executable, "-m", "worker_client.cli", *run], env=variables, check=True, timeout=60)
        assert client.get(task.id).status is Status.COMPLETED, client.logs_as_text(task.id)
    assert Path(stage.shop, "COUNT.txt").read_text() == "1\n"


def test_fan_out(stage: Stage) -> None:
    last = int(stage.run("fan_out.py", stage.shop, "a.py", "b.py"))
    with Client(stage.server.url) as client:
        assert client.get(last).status is Status.BLOCKED
        for _ in range(2):
            review = claimed(client, stage.shop)
            assert review.prompt is not None
            assert review.prompt.startswith("Review ")
            client.complete(review.id, lease=review.lease)
        assert claimed(client, stage.shop).id == last


def test_long_job(stage: Stage) -> None:
    with Client(stage.server.url) as client:
        task = client.create(work_directory=stage.shop, kind="count", prompt="400", backoff=Backoff(base_seconds=0.1))
        with stage.running("long_job.py", stage.shop) as first:
            until(lambda: client.get(task.id).checkpoint)
            first.kill()
            first.wait()
        checkpoint = client.get(task.id).checkpoint
        with stage.running("long_job.py", stage.shop):
            ended = client.wait(task.id, within=60)
            assert ended.result["done"] == 400
            assert ended.result["of_it_now"] <= 400 - checkpoint["done"]
            assert ended.progress is not None
            stopped = client.create(work_directory=stage.shop, kind="count", prompt="1000000")
            until(lambda: client.get(stopped.id).progress)
            client.cancel(stopped.id)
            assert client.wait(stopped.id, within=30).status is Status.CANCELLED


def test_ask_a_person(stage: Stage) -> None:
    with Client(stage.server.url) as client, stage.running("ask_a_person.py", stage.shop):
        task = client.create(work_directory=stage.shop, kind="deploy", prompt="v7")
        parked = until(lambda: client.get(task.id).parked)
        assert parked.question == "Where to, with v7?"
        client.answer(task.id, answer="staging")
        assert client.wait(task.id, within=30).result == "v7 is on staging"


def test_worker_of_curl(stage: Stage) -> None:
    with Client(stage.server.url) as client:
        good, bad = (
            client.create(work_directory=stage.shop, kind="script", spec={"command": c}, max_attempts=1).id
            for c in ("pwd", "exit 3")
        )
        stage.run("other_languages/worker.sh", stage.shop)
        assert client.get(good).result == {"output": stage.shop}
        failed = client.get(bad)
        assert failed.status is Status.FAILED
        assert failed.error is not None
        assert "exit code 3" in failed.error.message


@contextmanager
def github(comments: list[tuple[str, Any]]) -> Iterator[str]:
    """A GitHub that takes comments, the second time it is asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            comments.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))["body"]))
            asked.append(self.headers["authorization"])
            self.send_response(201)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def labelled(stage: Stage, number: int) -> None:
    """GitHub tells of a label."""
    issue = {"number": number, "title": "It is slow", "body": "Very.", "labels": [{"name": "agent"}], "user": {"login": "ann"}}
    repository = {"full_name": "acme/shop", "name": "shop"}
    body = json.dumps(
        {"action": "labeled", "issue": issue, "label": {"name": "agent"}, "repository": repository, "sender": {"login": "ann"}}
    )
    signature = hmac.new(b"s3cret", body.encode(), "sha256").hexdigest()
    headers = {"x-hub-signature-256": f"sha256={signature}", "x-github-event": "issues", "x-github-delivery": f"d{number}"}
    url = f"{stage.server.url}/api/v1/public/webhooks/github"
    answer = httpx.post(url, content=body, headers=headers | {"content-type": "application/json"})
    assert answer.status_code in {200, 202}, answer.text


def test_github_bot(stage: Stage) -> None:
    comments: list[tuple[str, Any]] = []
    with github(comments) as url, Client(stage.server.url) as client:
        variables = {"GITHUB_API_URL": url, "GITHUB_TOKEN": "t0ken"}
        with stage.running("github_bot.py", "acme/shop", stage.shop, **variables):
            until(lambda: client.deployments().items)
            labelled(stage, 7)
            task = claimed(client, stage.shop)
            assert "It is slow" in (task.prompt or "")
            client.complete(task.id, lease=task.lease, result={"text": "It is fast now."})
            until(lambda: comments)
        # While it is away.
        labelled(stage, 8)
        task = claimed(client, stage.shop)
        client.fail(task.id, lease=task.lease, error=TaskError(type="E", message="I give up"), retryable=False)
        with stage.running("github_bot.py", "acme/shop", stage.shop, **variables):
            until(lambda: len(comments) == 2)
    assert comments == [
        ("/repos/acme/shop/issues/7/comments", "It is fast now."),
        ("/repos/acme/shop/issues/8/comments", "It did not work out: I give up"),
    ]
