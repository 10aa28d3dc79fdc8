"""The wheel and the sdist, installed into clean environments, without a checkout and without an index."""

import contextlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

import orchestrator
from release import archives, wheelhouse
from tests.installed import Installed, checkout, older
from tests.mcp.speaking import ERAS, Agent

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

OTHERS = {"aiosmtplib", "imap_tools", "opentelemetry_sdk", "psycopg"}
MARKUP = re.compile(r'(?:src|href)="(/[^"#]*)"')
SDK = {"anyio", "certifi", "click", "h11", "httpcore", "httpx", "idna", "markdown_it_py", "mdurl", "msgspec", "psutil"}
SDK |= {"pygments", "rich", "rich_click", "socksio", "task_orchestrator", "typing_extensions"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """On a disk, for it is some hundred megabytes."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-packages-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    return checkout(folder / "checkout")


@pytest.fixture(scope="module")
def built(folder: Path, source: Path) -> archives.Built:
    """Those of `make release`, when it asks; else of what stands here."""
    if dist := os.environ.get("RELEASE_DIST"):
        return archives.Built(next(Path(dist).glob("*.tar.gz")), next(Path(dist).glob("*.whl")))
    (folder / "dist").mkdir()
    return archives.build(source, folder / "dist")


@pytest.fixture(scope="module")
def house(folder: Path) -> Path:
    """All that the lock of the server names, and neither our wheel nor an index."""
    wheelhouse.fill(folder / "house")
    return folder / "house"


@pytest.fixture(scope="module")
def server(folder: Path, house: Path, built: archives.Built) -> Installed:
    """With the extra `server` alone."""
    wheelhouse.install(house, folder / "server", f"{built.wheel}[server]")
    return Installed(folder / "server", folder / "home")


def test_they_have_what_git_has_and_come_out_the_same_each_time(source: Path, built: archives.Built) -> None:
    assert archives.problems(source, built) == []
    assert f"task_orchestrator-{orchestrator.__version__}-" in built.wheel.name


def test_what_git_has_not_and_what_was_changed_is_noticed(source: Path, tmp_path: Path) -> None:
    stray = source / "orchestrator/stray.py"
    stray.write_text("SECRET = 1\n")
    built = archives.build(source, tmp_path)
    with contextlib.closing(tarfile.open(built.sdist)) as sdist:
        assert [name for name in sdist.getnames() if name.endswith("stray.py")]
    stray.unlink()
    told = archives.problems(source, built)
    assert sorted(line.split(", ")[-1] for line in told if "git has not" in line) == ["orchestrator/stray.py"] * 2
    assert "built a second time, they are not the same byte for byte" in told


def test_the_sdk_alone_is_light_and_says_what_the_rest_needs(folder: Path, house: Path, built: archives.Built) -> None:
    wheelhouse.install(house, folder / "sdk", str(built.wheel))
    sdk = Installed(folder / "sdk", folder / "sdk_home")
    print(f"the SDK alone: {len(sdk.names())} packages with itself, {sdk.megabytes():.1f} MB")  # noqa: T201 - figures for who releases
    assert set(sdk.names()) == SDK
    assert sdk.megabytes() < 25
    assert sdk.checked() == "No broken requirements found."
    for code in (
        "from worker_client import AsyncClient, Client, Worker",
        "from worker_client.hiring import Shift, Wanted, hire; hire(Wanted(directories=('.',), agents=('claude',)), Shift())",
        "from orchestrator import resources as r; assert list(r.migrations().glob('0001_*.sql'))",
        "from orchestrator.cli.monitoring import FILES, config; assert all((config() / name).is_file() for name in FILES)",
        "from orchestrator import resources as r, settings as s; s.load([r.config()], {'APP_ENV': 'production'})",
        "from importlib.util import find_spec as f; assert not any(map(f, ['litestar', 'aiosqlite', 'structlog']))",
        "import worker_client as w; from pathlib import Path; assert Path(w.__file__).with_name('py.typed').is_file()",
        "import orchestrator as o; from pathlib import Path; assert Path(o.__file__).with_name('py.typed').is_file()",
    ):
        sdk.says("python", "-c", code)
    assert sdk.says("orchestrator-worker", "--version").split() == ["orchestrator-worker", orchestrator.__version__]
    for line in ("serve", "migrate", "backup x.db", "copy --from sqlite:///a --to sqlite:///b", "openapi", "mcp", "db tables"):
        ran = sdk.run("orchestrator", *line.split())
        assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
        assert "pip install 'task-orchestrator[server]'" in ran.stderr


def test_tasks_are_added_and_done(server: Installed) -> None:
    print(f"with the extra server: {len(server.names())} packages, {server.megabytes():.1f} MB")  # noqa: T201 - figures for who releases
    assert server.checked() == "No broken requirements found."
    assert OTHERS & set(server.names()) == set()
    assert server.says("orchestrator", "--version").split() == ["orchestrator", orchestrator.__version__]
    work = server.folder / "work"
    work.mkdir()
    with server.serving() as url:
        task = server.json("add", "--command", "echo done by Ada", "--dir", "work", **url)
        server.says("orchestrator-worker", "run", "--dir", "work", "--once", **url)
        assert server.json("show", str(task["id"]), **url)["status"] == "completed"
        assert "done by Ada" in server.says("orchestrator", "logs", str(task["id"]), **url)
        server.says("orchestrator", "backup", "copy.db")
    assert server.says("orchestrator", "migrate", "--database", "sqlite:///copy.db").endswith("is up to date\n")
    assert "applied 0001" in server.says("orchestrator", "migrate", "--database", "sqlite:///new.db")
    with server.serving("--database", "sqlite:///copy.db") as url:
        assert [one["status"] for one in server.json("list", **url)["items"]] == ["completed"]


def test_the_demo_runs(server: Installed) -> None:
    assert "every outcome was checked" in server.says("orchestrator", "demo", "--exit")


def test_pages_come_with_all_that_they_name(server: Installed) -> None:
    with server.serving("--database", "sqlite:///pages.db") as url, httpx.Client(base_url=url["ORCHESTRATOR_URL"]) as client:
        seen: dict[str, int] = {}
        waiting = ["/", "/schema", "/schema/openapi.json"]
        while waiting:
            place = waiting.pop()
            answer = client.get(place, follow_redirects=True)
            seen[place] = answer.status_code
            assert answer.content or place.startswith("/api/"), place
            if "html" in answer.headers["content-type"]:
                waiting += {urljoin(place, unescape(found)) for found in MARKUP.findall(answer.text)} - {*seen, *waiting}
        assert {place: status for place, status in seen.items() if status != 200} == {}
        assert len(seen) > 30
        for language, words in (("en", "Workers"), ("zh-CN", "工作")):
            assert words in client.get("/workers", headers={"Accept-Language": language}, follow_redirects=True).text


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_agents_speak_mcp_with_it(server: Installed, era: str) -> None:
    with server.serving("--database", "sqlite:///mcp.db") as url:
        program = str(server.programs / "orchestrator")
        line = StdioServerParameters(command=program, args=["mcp"], env=server.variables(**url), cwd=server.folder)
        http = streamable_http_client(f"{url['ORCHESTRATOR_URL']}/mcp")
        async with (
            Client(line, mode=era) as one,
            Client(http, mode=era) as two,
        ):
            added = await Agent(one)("task_add", work_path=str(server.folder), prompt="Say hello")
            task = (await Agent(two)("task_next", work_path=str(server.folder), worker_id="here"))["task"]
            assert task["id"] == added["id"]
            await Agent(one)("task_finish", lease=task["lease"], outcome="done", summary="said it")
            assert (await Agent(two)("task_get", id=added["id"]))["status"] == "completed"


def test_without_the_extra_for_mail_it_starts_and_says_so(server: Installed) -> None:
    smtp = {"APP_NOTIFY_SMTP_SERVER": "smtp.invalid", "APP_NOTIFY_SMTP_FROM": "ops@example.org"}
    imap = {"APP_EMAIL_SERVER": "imap.invalid", "APP_EMAIL_USER": "ops", "APP_EMAIL_PASSWORD": "secret"}
    with server.serving("--database", "sqlite:///mail.db", **smtp, **imap) as url:
        said = (server.folder / "server.log").read_text()
        assert [said.count(words) for words in ("task-orchestrator[email]", "email.server", "notify.smtp_server")] == [2, 1, 1]
        assert server.json("add", "x", "--dir", ".", **url)["status"] == "waiting"


def test_pip_installs_the_same_from_the_sdist_in_place_of_an_older_one(
    folder: Path, house: Path, built: archives.Built, server: Installed
) -> None:
    there = folder / "older"
    wheelhouse.install(house, there, f"{older(checkout(folder / 'before'), folder / 'old', '0.0.1')}[server]")
    here = Installed(there, folder / "older_home")
    assert here.names()["task_orchestrator"] == "0.0.1"
    with here.serving() as url:
        task = here.json("add", "--command", "true", "--dir", ".", **url)
    # pip builds it in an environment of its own, with what the sdist asks for.
    wheelhouse.install(house, there, f"{built.sdist}[all]")
    print(f"with the extra all: {len(here.names())} packages, {here.megabytes():.1f} MB")  # noqa: T201 - figures for who releases
    assert here.checked() == "No broken requirements found."
    assert set(here.names()) >= OTHERS
    assert here.files() == server.files()
    assert len(here.files()) > 500
    assert not (here.packages / "orchestrator/gone.py").exists()
    with here.serving() as url:
        here.says("orchestrator-worker", "run", "--dir", ".", "--once", **url)
        assert here.json("show", str(task["id"]), **url)["status"] == "completed"


def test_an_older_python_is_refused(house: Path, built: archives.Built, tmp_path: Path) -> None:
    asked = ["install", "--dry-run", "--no-deps", "--only-binary", ":all:", "--target", str(tmp_path), str(built.wheel)]
    said = {}
    for version in ("3.10", "3.11"):
        line = [sys.executable, "-m", "pip", *asked, "--python-version", version]
        ran = subprocess.run(line, env=wheelhouse.environment(house), capture_output=True, text=True, check=False)
        said[version] = (ran.returncode, "requires a different Python" in ran.stderr)
    assert said == {"3.10": (1, True), "3.11": (0, False)}
