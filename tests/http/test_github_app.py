"""What a GitHub App is asked for: its tokens, its pages, and what becomes of deliveries when it does not answer."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from orchestrator.domain.delivering import GIVEN_UP_MS
from orchestrator.loops.fetcher import Fetcher
from orchestrator.settings import GitHub
from orchestrator.triggers.github import api
from orchestrator.triggers.github.api import App, Found, LaterError, NeverError
from tests.http.conftest import Running, serving
from tests.http.fake_github import APP_ID, FakeGitHub, fake_github
from tests.http.hooks import SECRET, deployed, history, runs, signed
from tests.signers import PEM, RSA

pytestmark = pytest.mark.anyio

FILES = {"what": "files", "repository": "acme/api", "installation": 99, "number": 5}
COMPARE = {"what": "compare", "repository": "acme/api", "installation": None, "base": "a" * 40, "head": "b" * 40}
NOW = 1_800_000_000.0


KEY = RSA.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
).decode()


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github(PEM.decode(), lambda: format_datetime(datetime.fromtimestamp(NOW, UTC), usegmt=True)) as fake:
        fake.clock = NOW
        yield fake


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def app(fake: FakeGitHub, clock: Clock) -> AsyncIterator[App]:
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - it talks to this process
        yield App(settings(fake, KEY), client, clock)


def settings(fake: FakeGitHub, key: str, **more: Any) -> GitHub:
    return GitHub(app_id=APP_ID, app_private_key=key, api_url=fake.url, **more)


async def test_a_token_is_used_until_shortly_before_its_end(app: App, fake: FakeGitHub, clock: Clock) -> None:
    fake.expires_at = datetime.fromtimestamp(NOW + 3600, UTC).isoformat()
    fake.files = ["a.py"]
    for _ in range(3):
        assert (await app.asked(FILES)).files == ["a.py"]
    assert fake.tokens == 1
    clock.at = fake.clock = NOW + 3550
    fake.expires_at = "2100-01-01T00:00:00Z"
    await app.asked(FILES)
    assert fake.tokens == 2
    fake.good_tokens.clear()
    await app.asked(FILES)
    assert fake.tokens == 3


async def test_pages_are_read_to_their_end(app: App, fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.files = [f"f{number}" for number in range(250)]
    found = await app.asked(FILES)
    assert (found.files, found.complete) == (fake.files, True)
    monkeypatch.setattr(api, "_PAGES", 3)
    fake.files = [f"f{number}" for number in range(301)]
    found = await app.asked(FILES)
    assert (len(found.files), found.complete) == (300, False)
    fake.commits, fake.files = 230, ["x", "y"]
    found = await app.asked(COMPARE)
    assert (len(found.commits or ()), found.files, found.complete) == (230, ["x", "y"], True)
    assert (found.commits or [{}])[0]["author"] == "bo"
    assert fake.asked["/repos/acme/api/installation"] == 1
    fake.files = ["z"] * 300
    assert not (await app.asked(COMPARE)).complete


@pytest.mark.parametrize("wrong", [-3600, 3600])
async def test_a_clock_that_is_wrong_is_corrected(app: App, fake: FakeGitHub, clock: Clock, wrong: int) -> None:
    clock.at = NOW + wrong
    assert isinstance(await app.asked(FILES), Found)


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        ((403, {"message": "You have exceeded a secondary rate limit"}, {"retry-after": "7"}), 7),
        ((403, {"message": "no"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 90)}), 90),
        ((429, {"message": "no"}, {}), 60),
        ((403, {"message": "API rate limit exceeded"}, {}), 60),
        ((500, {}, {}), None),
        ((502, b"<html>", {}), None),
        ((200, b"<html>", {}), None),
    ],
)  # fmt: skip
async def test_what_passes_is_waited_for(app: App, fake: FakeGitHub, answer: Any, after: float | None) -> None:
    await app.asked(FILES)
    fake.unkind = [answer]
    with pytest.raises(LaterError) as later:
        await app.asked(FILES)
    assert later.value.after_s == after
    assert (await app.asked(FILES)).complete


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((403, {"message": "Resource not accessible by integration"}, {}), "permission"),
        ((404, {"message": "Not Found"}, {}), "not installed"),
        ((422, {}, {}), "commits"),
        ((301, {}, {"location": "http://127.0.0.1:9/"}), "301"),
    ],
)
async def test_what_does_not_pass_is_given_up(app: App, fake: FakeGitHub, answer: Any, told: str) -> None:
    await app.asked(FILES)
    fake.unkind = [answer]
    with pytest.raises(NeverError, match=told):
        await app.asked(FILES)


async def test_nobody_answers(app: App, fake: FakeGitHub) -> None:
    app._url = "http://127.0.0.1:9"
    with pytest.raises(LaterError, match="cannot be reached"):
        await app.asked(FILES)


@pytest.mark.parametrize("wants", [{**FILES, "repository": "../../x"}, {**COMPARE, "base": "a?b"}, {**FILES, "repository": ""}])
async def test_only_repositories_and_commits_are_asked_for(app: App, wants: Any) -> None:
    with pytest.raises(NeverError):
        await app.asked(wants)


async def test_keys_may_be_written_with_backslashes_or_stand_in_a_file(fake: FakeGitHub, tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_text(KEY)
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - it talks to this process
        for written in (KEY.replace("\n", "\\n"), str(file)):
            assert (await App(settings(fake, written), client, lambda: NOW).asked(FILES)).complete
        with pytest.raises(NeverError, match="no private key"):
            await App(settings(fake, "-----BEGIN NOTHING-----"), client, lambda: NOW).asked(FILES)
        with pytest.raises(NeverError, match="no file"):
            App(settings(fake, str(tmp_path / "none")), client, lambda: NOW)


# Deliveries that wait


def quiet(server: Running) -> None:
    """The test says when GitHub is asked."""
    for task in server.app.state.loops:
        if task.get_name() == "Fetcher":
            task.cancel()


@pytest.fixture
async def server(tmp_path: Path, fake: FakeGitHub) -> AsyncIterator[Running]:
    async with serving(tmp_path / "tasks.db", github=settings(fake, KEY, webhook_secret=SECRET)) as running:
        quiet(running)
        yield running


@asynccontextmanager
async def fetcher(server: Running) -> AsyncIterator[Fetcher]:
    state = server.app.state
    made = Fetcher(server.queue, state.refusals, state.metrics, lambda: state.settings.github, lambda: NOW)
    yield made
    await made.close()


async def once(server: Running) -> int:
    """Ask for what is due now."""
    async with fetcher(server) as asks:
        return await asks.once(server.queue.now())


async def pulled(server: Running, delivery: str = "d") -> list[str]:
    pull = {"number": 5, "title": "t", "user": {"login": "bo"}, "base": {"ref": "main"}}
    body = {"action": "opened", "pull_request": pull, "repository": {"full_name": "acme/api"}, "installation": {"id": 99}}
    raw = json.dumps(body).encode()
    headers = {"x-github-event": "pull_request", "x-github-delivery": delivery, "content-type": "application/json"}
    answer = await server.client.post(
        "/public/webhooks/github", content=raw, headers={**headers, "x-hub-signature-256": signed(raw)}
    )
    assert answer.status_code == 202, answer.text
    outcomes: list[str] = answer.json()["data"]["outcomes"]
    return outcomes


async def test_a_run_begins_once_the_files_are_known(server: Running, fake: FakeGitHub) -> None:
    at = await deployed(server, {"type": "github", "paths": ["src/**"]}, name="src")
    other = await deployed(server, {"type": "github", "paths": ["lib/**"]}, name="lib")
    dry = await deployed(server, {"type": "github", "dry_run": True}, name="dry")
    fake.files = ["src/a.py", "docs/b.md"]
    assert await pulled(server) == ["fetching"] * 3
    assert await runs(server, at) == []
    assert (await server.get("/triggers/health"))["fetching"] == 3
    assert await once(server) == 3
    assert fake.asked["/repos/acme/api/pulls/5/files"] == 1
    ((given, *_),) = await runs(server, at)
    assert (given["changed_files"], given["changed_files_complete"]) == (fake.files, True)
    assert [(await history(server, one))[0]["outcome"] for one in (at, other, dry)] == ["fired", "filtered", "dry_run"]
    assert (await server.get("/triggers/health"))["fetching"] == 0


async def test_a_github_that_fails_loses_no_delivery(server: Running, fake: FakeGitHub) -> None:
    at = await deployed(server, {"type": "github", "paths": ["src/**"]}, name="fails")
    assert await pulled(server) == ["fetching"]
    now = server.queue.now()
    async with fetcher(server) as asks:
        fake.unkind = [(500, {}, {})]
        await asks.once(now)
        (row,) = await history(server, at)
        assert (row["outcome"], row["reason"]) == ("fetching", "GitHub answers 500")
        assert await asks.once(now + 1_000) == 0
        fake.unkind = [(429, {}, {"retry-after": "100"})]
        await asks.once(now + 3_000)
        assert await asks.once(now + 90_000) == 0
        fake.files = ["src/x"]
        assert await asks.once(now + 110_000) == 1
    assert (await history(server, at))[0]["outcome"] == "fired"


async def test_one_that_never_answers_is_given_up_and_the_run_begins_with_what_is_known(
    server: Running, fake: FakeGitHub
) -> None:
    at = await deployed(server, {"type": "github", "paths": ["src/**"]}, name="given up")
    async with fetcher(server) as asks:
        await pulled(server, "first")
        await asks.once(server.queue.now())
        fake.unkind = [(404, {}, {})]
        await pulled(server, "second")
        await asks.once(server.queue.now())
        fake.unkind = [(500, {}, {})]
        await pulled(server, "third")
        await asks.once(server.queue.now() + GIVEN_UP_MS + 1)
    rows = {row["key"]: row for row in await history(server, at)}
    assert [rows[key]["outcome"] for key in ("first", "second", "third")] == ["filtered", "fired", "fired"]
    assert "not installed" in rows["second"]["reason"]
    assert "GitHub answers 500" in rows["third"]["reason"]
    assert [given["changed_files_complete"] for given, *_ in await runs(server, at)] == [False, False]


async def test_what_waits_outlives_the_server(tmp_path: Path, fake: FakeGitHub) -> None:
    github = settings(fake, KEY, webhook_secret=SECRET)
    async with serving(tmp_path / "tasks.db", github=github) as server:
        quiet(server)
        at = await deployed(server, {"type": "github"}, name="outlives")
        assert await pulled(server) == ["fetching"]
    async with serving(tmp_path / "tasks.db", github=github) as server:
        quiet(server)
        await once(server)
        assert len(await runs(server, at)) == 1
