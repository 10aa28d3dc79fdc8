"""The client commands, against a real server and with a real worker."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.cli.exits import EPILOG, Exit
from tests.acceptance.programs import ROOT, Server, end, environment, orchestrator, serving, working
from worker_client import Client
from worker_client.contract.enums import ParkReason


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as made:
        yield made


def add(server: Server, directory: Path, *arguments: str) -> int:
    ran = server.run("add", *arguments, "--dir", str(directory), "--quiet")
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


def test_help_loads_no_server_and_no_database() -> None:
    code = (
        "import sys\nfrom orchestrator.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in 'aiosqlite httpx litestar sqlite_utils structlog uvicorn'.split() if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("[]\n")
    assert "Exit codes: 0 done" in ran.stdout


def test_every_command_and_exit_code_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    undocumented = [name for name in main.commands if not re.search(rf"`{name}[ `]", text)]
    assert undocumented == []
    assert [f"| {code:d} |" for code in Exit if f"| {code:d} |" not in text or str(int(code)) not in EPILOG] == []


def test_one_waits_for_tasks_that_end_in_different_ways(server: Server, client: Client, tmp_path: Path) -> None:
    ends, is_cancelled = add(server, tmp_path, "Go"), add(server, tmp_path, "Stay")
    with server.start("wait", str(ends), str(is_cancelled)) as waiting:
        claimed = client.claim(work_path=[str(tmp_path)], worker_id="w")
        assert claimed is not None
        said = {"text": "All green.\nReally.", "agent": "a", "session_id": "s"}
        client.complete(claimed.id, lease=claimed.lease, result=said, evidence={"denials": ["Bash: npm install"]})
        client.cancel(is_cancelled)
        out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == Exit.FAILED
    assert out.splitlines() == [f"task {ends} completed in {tmp_path}", f"task {is_cancelled} cancelled in {tmp_path}"]
    assert server.run("wait", str(ends)).returncode == Exit.OK
    shown = server.run("show", str(ends)).stdout
    assert re.search(r"(?m)^result +All green\. *\n +Really\. *$", shown)
    assert re.search(r"(?m)^not allowed in the last attempt: *\n +Bash: npm install *$", shown)


def test_no_server_is_said_in_words_and_by_exit_code(tmp_path: Path) -> None:
    ran = orchestrator("list", "--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert ran.returncode == Exit.UNREACHABLE
    for words in ("http://127.0.0.1:9", "refused", "orchestrator serve", "--url", "ORCHESTRATOR_URL"):
        assert words in ran.stderr
    told = orchestrator("list", "--json", cwd=tmp_path, ORCHESTRATOR_URL="http://127.0.0.1:9")
    assert told.returncode == Exit.UNREACHABLE
    assert json.loads(told.stderr)["error"]["code"] == "UNREACHABLE"


def test_a_directory_is_made_absolute_and_real(server: Server, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert server.json("add", "Look", "--dir", "link", cwd=tmp_path)["work_directory"] == str(real)
    assert server.json("add", "Look", cwd=real)["work_directory"] == str(real)
    page = server.json("list", "--dir", str(link))
    assert [task["prompt"] for task in page["items"]] == ["Look", "Look"]
    elsewhere = server.json("add", "Look", "--dir", "/srv/../srv/shop", "--host", "another")
    assert (elsewhere["work_directory"], elsewhere["host"]) == ("/srv/shop", "another")


def test_every_option_of_add_arrives(server: Server, tmp_path: Path) -> None:
    parent = add(server, tmp_path, "First")
    task = server.json(
        *("add", "Second", "--dir", str(tmp_path), "--title", "T", "--priority", "high", "--tag", "a", "--tag", "b"),
        *("--command", "make test", "--after", str(parent), "--delay", "1h30m", "--key", f"key-{tmp_path.name}", "--exclusive"),
        *("--max-attempts", "2", "--timeout", "10m", "--env", "A=1=2", "--verify", "true", "--spec", 'args=["x"]'),
        *("--cpu", "500m", "--memory", "256Mi"),
    )
    expected = {
        "prompt": "Second", "title": "T", "priority": "high", "tags": ["a", "b"], "kind": "script", "depends_on": [parent],
        "spec": {"command": "make test", "verify": "true", "args": ["x"]}, "exclusive": True, "max_attempts": 2,
        "timeout_seconds": 600, "environment": {"A": "1=2"}, "status": "blocked", "created": True,
        "resource_limits": {"cpu": "500m", "memory": "256Mi"},
    }  # fmt: skip
    assert {name: task[name] for name in expected} == expected
    at = server.json("add", "Later", "--dir", str(tmp_path), "--at", "2099-01-31T18:00Z", "--agent", "codex", "--model", "m")
    assert at["status"] == "scheduled"
    assert at["run_at"].startswith("2099-01-31T18:00:00")
    assert at["spec"] == {"agent": "codex", "model": "m"}


def test_a_prompt_comes_from_standard_input(server: Server, tmp_path: Path) -> None:
    code = [sys.executable, "-m", "orchestrator.cli", "add", "-", "--dir", str(tmp_path), "--json"]
    ran = subprocess.run(
        code, input="From a\nfile", env=environment(ORCHESTRATOR_URL=server.url), capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout)["prompt"] == "From a\nfile"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add"], Exit.USAGE, "nothing to do"),
        (["add", "x", "--cpu", "half"], Exit.USAGE, '`resource_limits.cpu` is "half": expected cores'),
        (["add", "x", "--delay", "soon"], Exit.USAGE, "no duration"),
        (["add", "x", "--at", "soon"], Exit.USAGE, "no time"),
        (["add", "x", "--at", "2099-01-01", "--delay", "1"], Exit.USAGE, "use one of them"),
        (["add", "x", "--env", "A"], Exit.USAGE, "no NAME=VALUE"),
        (["add", "x", "--priority", "asap"], Exit.USAGE, "asap"),
        (["add", "x", "--kind", "Bad Kind"], Exit.USAGE, "kind"),
        (["add", "x", "--after", "987654321"], Exit.USAGE, "987654321"),
        (["show", "987654321"], Exit.NOT_FOUND, "987654321"),
        (["show", "0"], Exit.USAGE, "0"),
        (["logs", "987654321"], Exit.NOT_FOUND, "987654321"),
        (["lst"], Exit.USAGE, "list"),
    ],
)
def test_what_is_wrong_is_said_and_has_its_code(server: Server, arguments: list[str], code: Exit, words: str) -> None:
    ran = server.run(*arguments)
    assert (ran.returncode, words in ran.stderr) == (code, True), ran.stderr
    assert ran.stdout == ""


def test_a_key_names_one_task(server: Server, tmp_path: Path) -> None:
    key = f"once-{tmp_path.name}"
    first = add(server, tmp_path, "Once", "--key", key)
    assert add(server, tmp_path, "Once", "--key", key) == first
    other = server.run("add", "Other", "--dir", str(tmp_path), "--key", key)
    assert other.returncode == Exit.CONFLICT


def test_list_filters_and_counts(server: Server, tmp_path: Path) -> None:
    for number in range(3):
        add(server, tmp_path, f"Task {number}", "--tag", "red" if number else "blue")
    ran = server.run("list", "--dir", str(tmp_path), "--limit", "2")
    assert "Task 2" in ran.stdout
    assert "Task 0" not in ran.stdout
    assert "2 of 3" in ran.stdout
    assert server.json("list", "--dir", str(tmp_path), "--tag", "red", "--status", "waiting")["total"] == 2
    assert "no tasks" in server.run("list", "--dir", str(tmp_path), "--status", "failed").stdout


def test_why_names_what_is_in_the_way(server: Server, tmp_path: Path) -> None:
    parent = add(server, tmp_path, "Parent")
    child = add(server, tmp_path, "Child", "--after", str(parent))
    assert "blocked" in server.run("why", str(child)).stdout
    reasons = server.json("why", str(child))
    assert reasons["status"] == "blocked"
    assert any(one["task_id"] == parent for one in reasons["obstacles"])


def test_advice_says_why_a_task_failed_and_what_to_change(server: Server, tmp_path: Path) -> None:
    failed = 0
    with Client(server.url) as client:
        for _ in range(5):
            client.create(kind="script", spec={"command": "x"}, work_directory=str(tmp_path), max_attempts=1)
            task = client.claim(work_path=[str(tmp_path)], worker_id="w", wait=0, kinds=["script"])
            assert task is not None
            client.append_logs(task.id, lease=task.lease, lines=["sh: 1: pnpm: not found"])
            client.fail(task.id, lease=task.lease)
            failed = task.id
    shown = " ".join(server.run("advice", str(failed)).stdout.split())
    assert all(words in shown for words in ("The command pnpm was not found.", "do: Install it", "see: line 1: sh: 1: pnpm"))
    assert server.json("advice", str(failed))["items"][0]["code"] == "command_not_found"
    assert "never_succeeds" in server.run("advice", "--dir", str(tmp_path)).stdout
    assert server.json("advice", "--dir", str(tmp_path), "--code", "flaky")["items"] == []
    assert "nothing needs to be changed" in server.run("advice", "--dir", "/nowhere").stdout
    assert server.run("advice", str(failed), "--dir", "/x").returncode == Exit.USAGE


def test_cancel_and_retry_take_several_ids(server: Server, tmp_path: Path) -> None:
    ids = [str(add(server, tmp_path, "Work")) for _ in range(2)]
    ran = server.run("cancel", ids[0], "987654321", ids[1], "--reason", "enough", "--json")
    assert ran.returncode == Exit.NOT_FOUND
    assert [(task["status"], task["reason"]) for task in map(json.loads, ran.stdout.splitlines())] == [
        ("cancelled", "enough")
    ] * 2
    assert server.run("cancel", ids[0]).returncode == Exit.CONFLICT
    assert "waiting" in server.run("retry", *ids).stdout
    assert server.run("retry", ids[0]).returncode == Exit.CONFLICT


def test_approval_is_given_or_refused(server: Server, tmp_path: Path) -> None:
    kept, dropped = (str(add(server, tmp_path, "Deploy", "--approval")) for _ in range(2))
    assert "approval" in server.run("list", "--dir", str(tmp_path)).stdout
    assert server.json("approve", kept)["status"] == "waiting"
    assert server.json("reject", dropped, "--reason", "no")["status"] == "cancelled"


def test_a_question_is_shown_and_answered(server: Server, client: Client, tmp_path: Path) -> None:
    task_id = add(server, tmp_path, "Choose")
    claimed = client.claim(work_path=[str(tmp_path)], worker_id="asker", wait=0)
    assert claimed is not None
    client.park(task_id, lease=claimed.lease, question="Which colour?", options=["red", "blue"])
    shown = server.run("show", str(task_id)).stdout
    assert "Which colour?" in shown
    assert "red · blue" in shown
    assert server.json("answer", str(task_id), "blue")["answer"] == "blue"
    assert server.run("answer", str(task_id), "red").returncode == Exit.CONFLICT


def test_accounts_wait_and_go_on(server: Server, client: Client, tmp_path: Path) -> None:
    task_id = add(server, tmp_path, "Think")
    claimed = client.claim(work_path=[str(tmp_path)], worker_id="tired", wait=0)
    assert claimed is not None
    client.park(task_id, lease=claimed.lease, reason=ParkReason.QUOTA, account="claude:me@here", message="5-hour limit")
    assert re.search(r"claude:me@here +\S.* 1 +5-hour limit", server.run("accounts", "list").stdout)
    assert "5-hour limit" in server.run("show", str(task_id)).stdout
    assert "may be used" in server.run("accounts", "resume", "claude:me@here").stdout
    assert client.get(task_id).status == "waiting"
    held = server.json("accounts", "hold", "claude:me@here", "--until", "2100-01-01T00:00Z", "--reason", "holidays")
    assert (held["reason"], held["parked"]) == ("holidays", 0)
    assert server.run("accounts", "resume", "nobody").returncode == Exit.NOT_FOUND


def test_workers_are_drained(server: Server, client: Client, tmp_path: Path) -> None:
    assert "drains; it still has 0 tasks" in server.run("drain", "busy", "lazy").stdout
    assert client.claim_many(work_path=[str(tmp_path)], worker_id="lazy", wait=0).drain
    assert "drains" in server.run("workers").stdout
    assert server.json("drain", "lazy", "--undo") == {"worker_id": "lazy", "draining": False}
    assert not client.claim_many(work_path=[str(tmp_path)], worker_id="lazy", wait=0).drain


def test_work_is_waited_for_and_its_output_read(server: Server, tmp_path: Path) -> None:
    with working(server, tmp_path):
        ran = server.run("add", "--command", "echo out; echo err >&2", "--dir", str(tmp_path), "--wait", "--json")
        assert ran.returncode == 0, ran.stderr
        task = json.loads(ran.stdout)
        assert task["status"] == "completed"
        read = server.run("logs", str(task["id"]))
        assert (read.stdout, read.stderr) == ("out\n", "err\n")
        lines = [json.loads(line) for line in server.run("logs", str(task["id"]), "--json").stdout.splitlines()]
        assert {line["text"]: line["stream"] for line in lines} == {"out": "stdout", "err": "stderr"}
        assert re.fullmatch(r"\d\d:\d\d:\d\d out\n", server.run("logs", "-t", str(task["id"])).stdout)
        failed = server.run("add", "--command", "exit 3", "--dir", str(tmp_path), "--max-attempts", "1", "--wait")
        assert failed.returncode == Exit.FAILED
        assert "exit code 3" in failed.stdout
        shown = server.run("show", str(task["id"])).stdout
        assert "completed" in shown
        assert "OUTCOME" in shown
        assert server.json("stats")["by_status"]["completed"] >= 1
        assert "PER SECOND" in server.run("stats").stdout


def test_output_goes_into_a_file_that_is_whole(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        task = client.create(prompt="Write", work_directory=str(tmp_path)).id
        claimed = client.claim(work_path=[str(tmp_path)], worker_id="w")
        assert claimed is not None
        client.append_logs(task, lease=claimed.lease, lines=[f"line {number}" for number in range(1000)])
        client.append_logs(task, lease=claimed.lease, lines=["the last"])
        client.complete(task, lease=claimed.lease)
    saved = server.run("logs", str(task), "--output", "out.txt", cwd=tmp_path)
    assert (saved.returncode, saved.stdout) == (0, "")
    assert "1,001 lines" in saved.stderr
    assert (tmp_path / "out.txt").read_text().splitlines()[-2:] == ["line 999", "the last"]
    refused = server.run("logs", str(task), "-o", "missing/out.txt", cwd=tmp_path)
    assert refused.returncode == Exit.FAILED
    assert "missing/out.txt cannot be written" in refused.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["out.txt"]


def test_logs_are_followed_until_the_task_has_ended(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task_id = add(server, tmp_path, "--command", "echo first; cat gate; echo last")
    with working(server, tmp_path), server.start("logs", "-f", str(task_id)) as following:
        assert following.stdout.readline() == "first\n"
        gate.write_text("between\n")
        assert following.stdout.read() == "between\nlast\n"
        assert following.wait(30) == 0


def test_a_running_task_shows_its_worker_and_is_cancelled(server: Server, tmp_path: Path) -> None:
    task_id = add(server, tmp_path, "--command", "echo begun; sleep 1000")
    with working(server, tmp_path), server.start("logs", "-f", str(task_id)) as following:
        assert following.stdout.readline() == "begun\n"
        assert any(str(task_id) in line for line in server.run("workers").stdout.splitlines())
        holders = [one for one in server.json("workers")["items"] if one["holds"]]
        assert [held["task_id"] for one in holders for held in one["holds"]] == [task_id]
        assert "told to stop" in server.run("cancel", str(task_id)).stdout
        assert following.wait(30) == 0
    assert server.json("show", str(task_id))["status"] == "cancelled"


def test_following_ends_with_130_when_interrupted(server: Server, client: Client, tmp_path: Path) -> None:
    task_id = add(server, tmp_path, "Wait")
    claimed = client.claim(work_path=[str(tmp_path)], worker_id="idle", wait=0)
    assert claimed is not None
    client.append_logs(task_id, lease=claimed.lease, lines=["here"])
    with server.start("logs", "-f", str(task_id)) as following:
        assert following.stdout.readline() == "here\n"
        assert end(following, signal.SIGINT) == Exit.INTERRUPTED
        assert "Traceback" not in following.stderr.read()


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_watch_prints_a_line_per_event_where_there_is_no_terminal(server: Server, tmp_path: Path, form: list[str]) -> None:
    with server.start("watch", "--dir", str(tmp_path), *form) as watching:
        added = []
        while not select.select([watching.stdout], [], [], 0.5)[0]:
            # What happens before it is connected, it does not tell.
            added.append(add(server, tmp_path, "Seen"))
        line = watching.stdout.readline()
        if form:
            event = json.loads(line)
            assert event["type"] == "task.created"
            assert event["task_id"] in added
        else:
            assert re.search(rf"\b({'|'.join(map(str, added))})  created$", line)
        assert end(watching, signal.SIGINT) == 0
        assert "Traceback" not in watching.stderr.read()


def test_watch_keeps_a_screen_on_a_terminal(server: Server, tmp_path: Path) -> None:
    add(server, tmp_path, "Waits already")
    leader, follower = os.openpty()
    with server.start("watch", "--dir", str(tmp_path), stdout=follower, stderr=follower) as watching:
        os.close(follower)
        assert until(leader, "Waits already")
        add(server, tmp_path, "Comes later")
        assert until(leader, "2 x")
        assert end(watching, signal.SIGINT) == 0
    os.close(leader)


def until(terminal: int, words: str) -> bool:
    """Read what a program writes to its terminal until these words come."""
    seen = ""
    while words not in seen:
        try:
            seen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            return False
    return True
