"""Settings read anew while the server runs: swapped whole, or not at all."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from orchestrator.domain.task import Millis
from orchestrator.loops.pruner import Pruner
from orchestrator.reloading import Reload
from orchestrator.settings import (
    Auth,
    Database,
    Hidden,
    Limits,
    Log,
    SecretFiles,
    Settings,
    SettingsError,
    Task,
)
from orchestrator.telemetry import logs
from tests.acceptance.programs import ADDRESS, started
from tests.http.conftest import PATIENCE_S, Running, serving, until

pytestmark = pytest.mark.anyio

TOKEN = "tok-7Qx9"
ADMIN = "a" * 40


class Source:
    """Where settings come from: what a test says, over what the server started with."""

    def __init__(self, settings: Settings) -> None:
        self.start = settings
        self.settings: Settings | SettingsError = settings

    def __call__(self) -> Settings:
        if isinstance(self.settings, SettingsError):
            raise self.settings
        return self.settings

    def say(self, **sections: Any) -> None:
        self.settings = replace(self.start, **sections)


@pytest.fixture
async def server(anyio_backend: object, tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path / "tasks.db") as running:
        yield running


@pytest.fixture
def source(server: Running) -> Iterator[Source]:
    state = server.app.state
    found = Source(state.settings)
    state.reload = Reload(state, found)
    yield found
    logs.choose("info")
    logs.redact(None)


async def reload(server: Running) -> tuple[list[str], list[str]]:
    told = await server.post("/system/reload")
    return told["changed"], told["needs_restart"]


async def test_what_did_not_change_changes_nothing(server: Running, source: Source) -> None:
    assert await reload(server) == ([], [])
    assert (await server.get("/audit"))["items"] == []


async def test_limits_hold_from_one_request_to_the_next(server: Running, source: Source) -> None:
    source.say(limits=Limits(max_prompt_bytes=10, max_body_bytes=200, backlog=7), task=Task(max_task_retries=0))
    assert (await reload(server))[0] == [
        "task.max_task_retries",
        "limits.backlog",
        "limits.max_body_bytes",
        "limits.max_prompt_bytes",
    ]
    assert (await server.task("/a"))["max_attempts"] == 1
    await server.refused("POST", "/tasks", 413, json={"work_directory": "/a", "prompt": "x" * 11})
    await server.refused("POST", "/tasks", 413, content=b" " * 201)
    assert server.queue.backlog_limit == 7
    source.say(limits=Limits(max_body_bytes=64 * 1024 * 1024, max_prompt_bytes=64 * 1024 * 1024))
    await reload(server)
    assert (await server.task("/a", prompt="x" * (17 * 1024 * 1024)))["max_attempts"] == 4


async def test_pages_of_other_origins_and_lists_of_addresses(server: Running, source: Source) -> None:
    origin = {"origin": "https://tasks.example.org"}
    assert (await server.client.get("/tasks", headers=origin)).status_code == 403
    source.say(server=replace(source.start.server, cors_origins=("https://tasks.example.org",)))
    assert await reload(server) == (["server.cors_origins"], [])
    allowed = await server.client.get("/tasks", headers=origin)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin["origin"])
    source.say(server=replace(source.start.server, deny=("127.0.0.0/8",)))
    assert await reload(server) == (["server.cors_origins", "server.deny"], [])
    assert (await server.client.get("/tasks")).status_code == 403


async def test_a_key_that_comes_and_goes(server: Running, source: Source) -> None:
    source.say(auth=Auth(bootstrap_key=ADMIN))
    assert await reload(server) == (["auth.bootstrap_key"], [])
    assert (await server.client.get("/tasks")).status_code == 401
    server.client.headers["authorization"] = f"Bearer {ADMIN}"
    assert (await server.client.get("/tasks")).status_code == 200
    source.say()
    assert await reload(server) == (["auth.bootstrap_key"], [])


async def test_a_limit_that_is_lifted_lets_a_parked_poll_have_its_task(server: Running, source: Source) -> None:
    source.say(task=Task(max_concurrent_tasks=1))
    await reload(server)
    for _ in range(2):
        await server.task("/a")
    await server.claim("/a")
    waiting = asyncio.create_task(server.claim("/a", wait=20))
    await until(lambda: server.queue.parked)
    source.say()
    assert await reload(server) == (["task.max_concurrent_tasks"], [])
    assert (await waiting)["id"] == 2


async def test_a_secret_that_comes_lets_a_parked_poll_have_its_task(server: Running, source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "TOKEN").write_text(TOKEN)
    source.say(secrets=SecretFiles(directory=str(folder)), secret_variables=Hidden({"OTHER": "oth-1234"}))
    assert await reload(server) == (["secrets.directory", "secrets.OTHER", "secrets.TOKEN"], [])
    await server.task("/a", prompt="{{ secrets.TOKEN }}")
    (folder / "TOKEN").unlink()
    assert await reload(server) == (["secrets.TOKEN"], [])
    waiting = asyncio.create_task(server.claim("/a", wait=20))
    await until(lambda: server.queue.parked)
    (folder / "TOKEN").write_text(f"{TOKEN}-new")
    assert await reload(server) == (["secrets.TOKEN"], [])
    assert (await waiting)["prompt"] == f"{TOKEN}-new"
    told = [entry["data"] for entry in (await server.get("/audit", type="settings.reloaded"))["items"]]
    assert told == [
        {"changed": changed} for changed in (["secrets.TOKEN"],) * 2 + (["secrets.directory", "secrets.OTHER", "secrets.TOKEN"],)
    ]


async def test_masking_and_level(server: Running, source: Source) -> None:
    task = await server.task("/a")
    lease = (await server.claim("/a"))["lease"]
    source.say(log=Log(level="error", redact=(r"card \d+",)))
    assert await reload(server) == (["log.level", "log.redact"], [])
    shown = await server.post(f"/tasks/{task['id']}/complete", {"lease": lease, "result": "card 1234"})
    assert shown["result"] == "***"
    assert logs._redaction.rule is not None
    assert logs._redaction.rule({"event": "card 1234"}) == {"event": "***"}


async def test_retention_begins_at_once(server: Running, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[tuple[float, Millis]] = []

    async def once(pruner: Pruner, now: Millis) -> int:
        rounds.append((pruner._limits[0], now))
        return 0

    monkeypatch.setattr(Pruner, "once", once)
    source.say(task=Task(retention_days=7))
    assert await reload(server) == (["task.retention_days"], [])
    await until(lambda: rounds)
    source.say(task=Task(retention_days=7, max_task_retries=1))
    await reload(server)
    await server.task("/a")
    assert [days for days, _ in rounds] == [7]


async def test_what_only_a_start_can_use_is_named_and_stays(server: Running, source: Source) -> None:
    source.say(
        server=replace(source.start.server, port=1, root_path="/x", tls_certfile="c.pem"),
        database=Database(url="sqlite:///other.db"),
        log=Log(file="other.log", format="json"),
        limits=Limits(max_prompt_bytes=10),
    )
    waiting = ["server.port", "server.root_path", "server.tls_certfile", "database.url", "log.format", "log.file"]
    assert await reload(server) == (["limits.max_prompt_bytes"], waiting)
    settings: Settings = server.app.state.settings
    assert settings == replace(source.start, limits=Limits(max_prompt_bytes=10))
    assert await reload(server) == ([], waiting)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (SettingsError("config/local.toml: log.level = 'loud'"), "log.level = 'loud'"),
        ({"secrets": SecretFiles(directory="/none")}, "secrets.directory = '/none'"),
        ({"auth": Auth(jwt_public_key_file="/none.pem")}, "jwt_public_key_file"),
    ],
)
async def test_what_does_not_fit_is_refused_whole(server: Running, source: Source, sections: Any, words: str) -> None:
    state = server.app.state
    before = [state.settings, state.secrets, state.redaction, state.queue.rules, state.doors.settings, state.pruner._limits]
    if isinstance(sections, SettingsError):
        source.settings = sections
    else:
        more = {"limits": Limits(max_prompt_bytes=10), "task": Task(retention_days=1), "secret_variables": Hidden({"A": TOKEN})}
        source.say(**{**more, **sections})
    refused = await server.refused("POST", "/system/reload", 400)
    assert refused["message"].startswith("the settings stay as they are: ")
    assert words in refused["message"]
    assert TOKEN not in str(refused)
    after = [state.settings, state.secrets, state.redaction, state.queue.rules, state.doors.settings, state.pruner._limits]
    assert [one is other for one, other in zip(before, after, strict=True)] == [True] * len(before)
    assert (await server.get("/audit"))["items"] == []
    await server.task("/a", prompt="x" * 100)


async def test_a_key_that_is_limited_to_some_directories_may_not(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=ADMIN)) as running:
        state = running.app.state
        state.reload = Reload(state, lambda: replace(state.settings, limits=Limits(max_prompt_bytes=10)))
        running.client.headers["authorization"] = f"Bearer {ADMIN}"
        limited = await running.post("/auth/keys", {"name": "limited", "scopes": ["admin"], "paths": ["/a/**"]})
        worker = await running.post("/auth/keys", {"name": "worker", "scopes": ["read", "submit", "work"]})
        for key in (limited, worker):
            await running.refused("POST", "/system/reload", 403, headers={"authorization": f"Bearer {key['key']}"})
        assert state.settings.limits == Limits()
        assert (await running.post("/system/reload"))["changed"] == ["limits.max_prompt_bytes"]
        ((entry,),) = [[one for one in (await running.get("/audit"))["items"] if one["type"] == "settings.reloaded"]]
        assert (entry["actor"], entry["origin"]) == ("bootstrap", "127.0.0.1")


# The real program


@contextmanager
def program(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`orchestrator serve` with settings of its own, whose log can be read line by line."""
    arguments = ["serve", "--port", "0", "--config", str(folder / "own.toml"), "--database", f"sqlite:///{folder / 'tasks.db'}"]
    with started(*arguments, cwd=folder, variables={"APP_LOG_FORMAT": "json"}) as process:
        assert process.stdout is not None
        found = ADDRESS.search(process.stdout.readline())
        assert found
        yield process, found[0]


def logged(process: "subprocess.Popen[str]", lines: list[str], is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The next line of the log that is the one; all that were read are added to `lines`."""
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if is_it(entry := json.loads(line)):
            return dict(entry)
    raise AssertionError(lines)


def test_a_signal_does_it_too_and_a_bad_file_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(0o700)
    (folder / "TOKEN").write_text(TOKEN)
    (folder / "TOKEN").chmod(0o600)
    secrets = f'[secrets]\ndirectory = "{folder}"\n'
    (tmp_path / "own.toml").write_text(secrets)
    lines: list[str] = []
    with program(tmp_path) as (process, url), httpx.Client(base_url=f"{url}/api/v1", timeout=PATIENCE_S) as client:
        (tmp_path / "own.toml").write_text(f'{secrets}[log]\nlevel = "debug"\n')
        process.send_signal(signal.SIGHUP)
        entry = logged(process, lines, lambda line: line["event"] == "settings were read anew")
        assert (entry["changed"], entry["needs_restart"]) == (["log.level"], [])

        client.post("/tasks", json={"work_directory": "/a", "prompt": "{{ secrets.TOKEN }}"})
        logged(process, lines, lambda line: line["level"] == "debug" and line.get("route") == "/api/v1/tasks")
        claimed = client.get("/tasks/next", params={"work_path": "/a", "worker_id": TOKEN, "wait": 0}).json()["data"]
        assert claimed["prompt"] == TOKEN
        client.get(f"/nowhere/{TOKEN}", params={"x": TOKEN}, headers={"x-request-id": TOKEN})

        (tmp_path / "own.toml").write_text('[log]\nlevel = "loud"\n')
        process.send_signal(signal.SIGHUP)
        entry = logged(process, lines, lambda line: line["event"] == "settings could not be read anew")
        assert entry["level"] == "error"
        assert "log.level = 'loud'" in entry["reason"]
        assert "exception" not in entry

        (tmp_path / "own.toml").write_text("")
        process.send_signal(signal.SIGHUP)
        entry = logged(process, lines, lambda line: line["event"] == "settings were read anew")
        assert entry["changed"] == ["log.level", "secrets.directory", "secrets.TOKEN"]
        trail = client.get("/audit", params={"type": "settings.reloaded"}).json()["data"]["items"]
        while len(trail) < 2:  # it is told once the event is on the disk
            trail = client.get("/audit", params={"type": "settings.reloaded"}).json()["data"]["items"]
        assert [(one["actor"], one["origin"]) for one in trail] == [("system", "")] * 2
        process.send_signal(signal.SIGTERM)
        lines += process.communicate(timeout=PATIENCE_S)[1].splitlines()
        assert process.returncode == 0
    assert any("***" in line for line in lines)
    assert not [line for line in lines if TOKEN in line]


def test_secrets_that_cannot_be_read_end_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[secrets]\ndirectory = "/none"\n')
    with started("serve", "--config", str(tmp_path / "own.toml"), "--port", "0", cwd=tmp_path) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, "")
    assert "secrets.directory = '/none' cannot be read" in err
