"""`orchestrator keys`, as a process: before a server runs, beside one and through one."""

import json
import re
import select
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from orchestrator.cli.exits import Exit
from tests import postgres
from tests.acceptance.programs import ADDRESS, Server, end, orchestrator, serving, started, working
from worker_client import Client, Unauthorized

KEY = re.compile(r"orc_([0-9a-f]{12})_[0-9a-f]{48}")
MINE = ("--name", "me", "--scope", "admin")


def created(*arguments: str, cwd: Path, **variables: str) -> str:
    """The key that `keys create` prints."""
    ran = orchestrator("keys", "create", *arguments, cwd=cwd, **variables)
    assert ran.returncode == 0, ran.stderr
    assert KEY.fullmatch(ran.stdout.removesuffix("\n")), ran.stdout
    return ran.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has had a key since before it was started for the first time, asked with that key."""
    folder = tmp_path_factory.mktemp("served")
    key = created(*MINE, "--secret", "*", "--database", f"sqlite:///{folder}/tasks.db", cwd=folder)
    with serving(folder) as running:
        yield running.holding(key)


def made(server: Server, name: str, *options: str) -> Server:
    """The same server, asked with a new key."""
    return server.holding(created("--name", name, *options, cwd=server.folder, **server.variables))


def test_a_key_from_before_the_first_start_opens_the_server(server: Server) -> None:
    assert server.run("list").returncode == 0
    key = server.variables["ORCHESTRATOR_API_KEY"]
    for wrong in ("", f"{key[:-1]}{'1' if key[-1] == '0' else '0'}"):
        ran = server.holding(wrong).run("list")
        assert (ran.returncode, ran.stdout) == (Exit.FORBIDDEN, "")
        assert "ORCHESTRATOR_API_KEY" in ran.stderr


def test_the_key_alone_is_printed_and_the_next_step_beside_it(tmp_path: Path) -> None:
    ran = orchestrator("keys", "create", *MINE, "--database", "sqlite:///tasks.db", cwd=tmp_path)
    found = KEY.fullmatch(ran.stdout.strip())
    assert found
    for words in (found[1], "me", "admin", "once", "ORCHESTRATOR_API_KEY"):
        assert words in ran.stderr
    assert found[0] not in ran.stderr
    assert found[0].encode() not in (tmp_path / "tasks.db").read_bytes()


def test_json_has_the_key_and_all_that_is_known_of_it(tmp_path: Path) -> None:
    ran = orchestrator(
        *(
            "keys",
            "create",
            "--name",
            "ci",
            "--scope",
            "submit",
            "--scope",
            "read",
            "--path",
            "/srv/repos/**",
            "--path",
            "here/**",
        ),
        *("--secret", "TOKEN", "--rate", "600/m", "--expires", "2099-01-31T18:00Z", "--database", "sqlite:///tasks.db", "--json"),
        cwd=tmp_path,
    )
    assert ran.stderr == ""
    shown = json.loads(ran.stdout)
    found = KEY.fullmatch(shown.pop("key"))
    assert found
    assert shown["id"] == found[1]
    expected = {
        "name": "ci", "paths": ["/srv/repos/**", f"{tmp_path.resolve()}/here/**"], "secrets": ["TOKEN"], "rate": "600/m",
        "expires_at": "2099-01-31T18:00:00Z", "created_by": "local", "disabled": False, "revoked_at": None, "last_used_at": None,
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    assert sorted(shown["scopes"]) == ["read", "submit"]


def test_beyond_loopback_the_server_names_the_command_that_lets_it_start(tmp_path: Path) -> None:
    line = ("serve", "--host", "0.0.0.0", "--port", "0", "--database", f"sqlite:///{tmp_path}/tasks.db")  # noqa: S104 - is refused
    refused = orchestrator(*line, cwd=tmp_path)
    assert refused.returncode not in {0, None}
    assert "Traceback" not in refused.stderr
    told = re.search(r"orchestrator (keys create .*?--database \S+)", refused.stderr)
    assert told, refused.stderr
    key = created(*shlex.split(told[1])[2:], cwd=tmp_path)
    with started(*line, cwd=tmp_path) as process:
        assert process.stdout
        address = ADDRESS.search(process.stdout.readline())
        assert address
        url = f"http://127.0.0.1:{address[0].rpartition(':')[2]}"
        assert orchestrator("list", cwd=tmp_path, ORCHESTRATOR_URL=url).returncode == Exit.FORBIDDEN
        assert orchestrator("list", cwd=tmp_path, ORCHESTRATOR_URL=url, ORCHESTRATOR_API_KEY=key).returncode == 0
        assert created("--name", "other", "--scope", "read", *line[-2:], cwd=tmp_path) != key
        assert end(process) == 0


def test_a_first_key_made_beside_an_open_server_closes_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.run("list").returncode == 0
        mine = server.holding(created(*MINE, "--database", server.database, cwd=tmp_path))
        assert server.run("list").returncode == Exit.FORBIDDEN
        assert mine.run("list").returncode == 0
        # It goes by the server, which has the file, and needs no key: who can write the file can do more.
        assert orchestrator("keys", "revoke", "me", "--database", server.database, cwd=tmp_path).returncode == 0
        assert mine.run("list").returncode == Exit.FORBIDDEN
        assert server.run("list").returncode == Exit.FORBIDDEN
        left = tmp_path / "tasks.db.serving"
        assert left.stat().st_mode & 0o777 == 0o600
        # Another server, which does not get the file, leaves it as it is.
        assert orchestrator("serve", "--port", "0", "--database", server.database, cwd=tmp_path).returncode == Exit.CONFLICT
        assert left.exists()
        assert end(server.process) == 0
        assert not left.exists()


def test_keys_in_postgresql_are_changed_beside_its_servers(tmp_path: Path) -> None:
    database = postgres.database(tmp_path)
    with started("serve", "--port", "0", "--database", database, cwd=tmp_path) as process:
        assert process.stdout
        address = ADDRESS.search(process.stdout.readline())
        assert address
        key = created(*MINE, "--database", database, cwd=tmp_path)
        with httpx.Client(base_url=f"{address[0]}/api/v1") as client:
            bearer = {"Authorization": f"Bearer {key}"}
            _until(client, 401)
            assert client.get("/tasks", headers=bearer).status_code == 200
            assert orchestrator("keys", "disable", "me", "--database", database, cwd=tmp_path).returncode == 0
            _until(client, 401, **bearer)
            assert orchestrator("keys", "enable", "me", "--database", database, cwd=tmp_path).returncode == 0
            _until(client, 200, **bearer)
        assert end(process) == 0


def _until(client: httpx.Client, status: int, **headers: str) -> None:
    """Ask until this is the answer; the test's time is the limit."""
    while client.get("/tasks", headers=headers).status_code != status:
        pass


def test_a_key_ends_when_it_said_it_would(server: Server) -> None:
    brief = made(server, "brief", "--scope", "read", "--expires", "2s").variables["ORCHESTRATOR_API_KEY"]
    with httpx.Client(base_url=f"{server.url}/api/v1") as client:
        _until(client, 401, Authorization=f"Bearer {brief}")
    rows = server.run("keys", "list").stdout.splitlines()
    assert any("brief" in row and "expired" in row for row in rows)


def test_a_key_is_shown_renamed_limited_disabled_and_revoked_by_id_or_name(server: Server) -> None:
    key = server.json("keys", "create", "--name", "worker 1", "--scope", "work")

    def good() -> bool:
        with Client(server.url, key["key"]) as client:
            try:
                client.claim(work_path=["/srv/none"], worker_id="w", wait=0)
            except Unauthorized:
                return False
            return True

    assert good()
    assert server.run("keys", "rename", key["id"], "worker 2").returncode == 0
    assert server.run("keys", "show", "worker 1").returncode == Exit.NOT_FOUND
    shown = server.run("keys", "show", "worker 2").stdout
    assert all(words in shown for words in (key["id"], "work", "everywhere", "never"))
    changed = server.json("keys", "change", "worker 2", "--rate", "500/s", "--expires", "90d", "--secret", "A")
    assert (changed["rate"], changed["secrets"], changed["expires_at"] is None) == ("500/s", ["A"], False)
    changed = server.json("keys", "change", "worker 2", "--rate", "default", "--expires", "never")
    assert (changed["rate"], changed["secrets"], changed["expires_at"]) == (None, ["A"], None)
    assert server.json("keys", "change", "worker 2", "--no-secrets")["secrets"] == []
    assert server.json("keys", "disable", key["id"])["disabled"] is True
    assert not good()
    assert server.json("keys", "enable", "worker 2")["disabled"] is False
    assert good()
    assert server.json("keys", "revoke", "worker 2")["revoked"] is True
    assert not good()
    assert key["id"] not in {one["id"] for one in server.json("keys", "list")["items"]}
    assert key["id"] in {one["id"] for one in server.json("keys", "list", "--revoked")["items"]}
    assert key["key"] not in server.run("audit", "--json").stdout


def test_of_two_keys_with_one_name_the_id_says_which(server: Server) -> None:
    chief = made(server, "chief of twins", "--scope", "admin", "--path", "/twins/**")
    first = server.json("keys", "create", "--name", "twin", "--scope", "read")
    second = chief.json("keys", "create", "--name", "twin", "--scope", "read", "--path", "/twins/1")
    refused = server.run("keys", "disable", "twin")
    assert refused.returncode == Exit.CONFLICT
    assert first["id"] in refused.stderr
    assert second["id"] in refused.stderr
    assert chief.json("keys", "disable", "twin")["id"] == second["id"]
    assert server.json("keys", "disable", first["id"])["disabled"] is True


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["create", "--name", "x"], Exit.USAGE, "--scope"),
        (["create", "--name", "x", "--scope", "root"], Exit.USAGE, "root"),
        (["create", "--name", "me", "--scope", "read"], Exit.CONFLICT, "me"),
        (["create", "--name", "x", "--scope", "read", "--rate", "fast"], Exit.USAGE, "rate"),
        (["create", "--name", "x", "--scope", "read", "--path", "/srv/*/x"], Exit.USAGE, "/srv/*/x"),
        (["create", "--name", "x", "--scope", "read", "--expires", "soon"], Exit.USAGE, "soon"),
        (["create", "--name", "x", "--scope", "read", "--expires", "2001-01-01"], Exit.USAGE, "past"),
        (
            ["create", "--name", "x", "--scope", "read", "--url", "http://127.0.0.1:9", "--database", "sqlite:///x"],
            Exit.USAGE,
            "one",
        ),
        (["show", "nobody"], Exit.NOT_FOUND, "nobody"),
        (["change", "me"], Exit.USAGE, "nothing to change"),
        (["change", "me", "--secret", "A", "--no-secrets"], Exit.USAGE, "contradict"),
        (["revoke"], Exit.USAGE, "KEY"),
    ],
)
def test_what_is_wrong_is_said_and_has_its_code(server: Server, arguments: list[str], code: Exit, words: str) -> None:
    ran = server.run("keys", *arguments)
    assert (ran.returncode, words in ran.stderr) == (code, True), ran.stderr
    assert ran.stdout == ""


def test_where_nothing_is_named_no_database_is_made(tmp_path: Path) -> None:
    ran = orchestrator("keys", "list", "--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert ran.returncode == Exit.UNREACHABLE
    assert list(tmp_path.iterdir()) == []


def test_the_database_of_the_settings_is_meant_when_nothing_is_named(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/other/tasks.db"
    created(*MINE, cwd=tmp_path, APP_DATABASE_URL=database)
    listed = orchestrator("keys", "list", "--json", cwd=tmp_path, APP_DATABASE_URL=database)
    assert [one["name"] for one in json.loads(listed.stdout)["items"]] == ["me"]
    there = orchestrator("keys", "list", "--json", "--database", database, cwd=tmp_path, ORCHESTRATOR_URL="http://127.0.0.1:9")
    assert there.stdout == listed.stdout


def test_a_database_that_is_away_is_said(tmp_path: Path) -> None:
    ran = orchestrator("keys", "list", "--database", "postgresql://me:hunter2@127.0.0.1:1/tasks", cwd=tmp_path)
    assert ran.returncode == Exit.FAILED
    assert "postgresql://me:***@127.0.0.1:1/tasks cannot be used" in ran.stderr
    assert "hunter2" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_work_is_done_from_end_to_end_with_keys(server: Server, tmp_path: Path) -> None:
    here = ("--scope", "read", "--path", f"{tmp_path}/**")
    submits, works = made(server, "submits", "--scope", "submit", *here), made(server, "works", "--scope", "work", *here)
    reads = made(server, "reads", *here)
    assert server.holding("").run("watch").returncode == Exit.FORBIDDEN
    with reads.start("watch", "--json") as watching, working(works, tmp_path):
        done = []
        while not select.select([watching.stdout], [], [], 0)[0]:
            # What happens before it is connected, it does not tell.
            done.append(submits.json("add", "--command", "echo done", "--dir", str(tmp_path), "--wait")["id"])
        assert json.loads(watching.stdout.readline())["task_id"] in done
    task = str(done[-1])
    assert reads.run("logs", task).stdout == "done\n"
    assert reads.run("cancel", task).returncode == Exit.FORBIDDEN
    assert works.run("add", "x", "--dir", str(tmp_path)).returncode == Exit.FORBIDDEN
    assert submits.run("keys", "list").returncode == Exit.FORBIDDEN
    assert submits.run("add", "x", "--dir", str(tmp_path.parent)).returncode == Exit.FORBIDDEN
    elsewhere = server.json("add", "x", "--dir", str(tmp_path.parent))["id"]
    assert reads.run("show", str(elsewhere)).returncode == Exit.NOT_FOUND


def test_a_server_with_https_is_asked_by_its_own_certificate(tmp_path: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tasks.example.org")])
    now = datetime.now(UTC)
    own = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    own = own.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "tls.pem").write_bytes(private + own.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (tmp_path / "own.toml").write_text('[server]\ntls_certfile = "tls.pem"\n')
    with serving(tmp_path, "--config", "own.toml") as server:
        assert server.url.startswith("https://")
        created(*MINE, "--database", server.database, "--config", "own.toml", cwd=tmp_path)
        stranger = orchestrator("keys", "list", "--database", server.database, cwd=tmp_path)
        assert stranger.returncode == Exit.UNREACHABLE
        assert "certificate" in stranger.stderr.lower()
