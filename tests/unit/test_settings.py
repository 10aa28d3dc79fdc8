import tomllib
from pathlib import Path
from typing import Any

import pytest

from orchestrator import resources
from orchestrator.settings import (
    SECTIONS,
    Auth,
    Database,
    Log,
    Server,
    Settings,
    SettingsError,
    Task,
    adopted,
    database_path,
    hidden,
    load,
    unknown_variables,
)
from orchestrator.settings.adopting import AT_START
from worker_client.contract.enums import Priority


def write(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.toml").write_text(text)
    return directory


def test_the_documented_defaults_are_the_ones_in_code() -> None:
    documented = load([resources.config()], {"APP_ENV": "production"})
    assert documented.environment == "production"
    assert documented.log.format == "json"
    assert documented.server == Settings().server
    assert documented.auth == Settings().auth
    assert documented.database == Settings().database
    assert documented.task == Settings().task
    assert documented.limits == Settings().limits
    assert documented.secrets == Settings().secrets


def test_every_key_is_documented_in_its_section() -> None:
    text = (resources.config() / "default.toml").read_text()
    documented = tomllib.loads(text)
    for section, keys in SECTIONS.items():
        assert list(documented[section]) == list(keys.__struct_fields__), section
    bare = [line for line in text.splitlines() if " = " in line and "#" not in line]
    # What a key is for may be said once for several.
    assert [line.partition(" ")[0] for line in bare] == [
        "head_start_high",
        "head_start_normal",
        "head_start_low",
    ]


def test_what_waits_for_a_start_is_marked() -> None:
    text = (resources.config() / "default.toml").read_text()
    marked = {line.partition(" ")[0] for line in text.splitlines() if "# (start)" in line}
    assert marked == AT_START["server"] | AT_START["log"] | AT_START["tracing"]
    assert AT_START["database"] == {*Database.__struct_fields__}
    assert set(AT_START) == {"server", "log", "database", "tracing"}


def test_later_layers_win_key_by_key(tmp_path: Path) -> None:
    config = write(
        tmp_path / "config",
        default="[server]\nport = 1\nroot_path = '/d'\n[log]\nlevel = 'error'\n[task]\nmax_task_retries = 1",
        development="[server]\nport = 2\n[task]\nmax_task_retries = 2",
        local="[server]\nport = 3\n[task]\nmax_task_retries = 3",
    )
    file = write(tmp_path, extra="[server]\nport = 4\n[task]\nmax_task_retries = 4") / "extra.toml"
    assert load([config]).server.port == 3
    assert load([config], file=file).server.port == 4
    environ = {"APP_SERVER_PORT": "5", "APP_TASK_MAX_TASK_RETRIES": "5"}
    assert load([config], environ, file=file).server.port == 5
    loaded = load([config], environ, file=file, overrides={"server": {"port": 6, "host": None}})
    assert (loaded.server.port, loaded.task.max_task_retries) == (6, 5)
    assert (loaded.server.root_path, loaded.server.host, loaded.log.level) == ("/d", "127.0.0.1", "error")


def test_a_later_directory_wins_within_a_layer_only(tmp_path: Path) -> None:
    shipped = write(tmp_path / "shipped", default="[server]\nport = 1", production="[server]\nport = 2")
    own = write(tmp_path / "own", default="[server]\nport = 3\nroot_path = '/x'")
    loaded = load([shipped, own], {"APP_ENV": "production"})
    assert (loaded.server.port, loaded.server.root_path) == (2, "/x")


def test_variables_are_read_as_what_the_key_is() -> None:
    environ = {
        "APP_SERVER_CORS_ORIGINS": "https://a.example, https://b.example",
        "APP_DATABASE_BUSY_TIMEOUT": "0.5",
        "APP_DATABASE_ENABLE_WAL_MODE": "true",
        "APP_TASK_HEAD_START_LOW": "-7200",
    }
    loaded = load(environ=environ)
    assert loaded.server.cors_origins == ("https://a.example", "https://b.example")
    assert loaded.database.busy_timeout == 0.5
    assert loaded.task.head_starts == {
        Priority.URGENT: 86_400_000,
        Priority.HIGH: 3_600_000,
        Priority.NORMAL: 0,
        Priority.LOW: -7_200_000,
    }


def test_the_configuration_that_the_seed_document_prints_is_taken(tmp_path: Path) -> None:
    seed = """
        [database]
        url = "sqlite:///data/tasks.db"
        max_connections = 100
        min_connections = 10
        enable_wal_mode = true
        busy_timeout = 30
        [task]
        max_concurrent_tasks = 100
        default_task_timeout = 3600
        max_task_retries = 3
        task_cleanup_interval = 3600
    """
    config = write(tmp_path, local=seed, development="")
    assert load([config]).database.max_connections == 100


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"APP_SERVER_PORT": "x"}, ["APP_SERVER_PORT", "server.port", "'x'", "int"]),
        ({"APP_SERVER_PORT": "65536"}, ["server.port", "'65536'", "65535"]),
        ({"APP_SERVER_PROT": "1"}, ["APP_SERVER_PROT", "'prot'", "did you mean 'port'"]),
        ({"APP_SERVER_HOST": "10.0.0.1", "APP_AUTH_MODE": "open"}, ["APP_AUTH_MODE", "'open'", "'10.0.0.1'", "127.0.0.1"]),
        ({"APP_SERVER_HOST": "example.org"}, ["server.host", "localhost"]),
        ({"APP_SERVER_HOST": ""}, ["server.host", "''", "an address of this machine"]),
        ({"APP_SERVER_ROOT_PATH": "tasks"}, ["server.root_path", "'tasks'"]),
        ({"APP_DATABASE_ENABLE_WAL_MODE": "no"}, ["database.enable_wal_mode"]),
        ({"APP_DATABASE_ENABLE_WAL_MODE": "false"}, ["database.enable_wal_mode", "expected true", "write-ahead log"]),
        ({"APP_DATABASE_MIN_CONNECTIONS": "9"}, ["[database]", "min_connections 9", "max_connections 4"]),
        ({"APP_TASK_HEAD_START_LOW": "1"}, ["[task]", "head start"]),
        ({"APP_LOG_LEVEL": "loud"}, ["log.level", "'loud'", "debug, info, warning, error"]),
        ({"APP_LOG_REDACT": "fine{1,3}\n("}, ["APP_LOG_REDACT", "log.redact", "'(' is no regular expression"]),
        ({"APP_SECRET_TOKEN": "hunter\udc80"}, ["APP_SECRET_TOKEN", "not UTF-8"]),
        ({"APP_ENV": "../x"}, ["APP_ENV", "'../x'"]),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(environ: dict[str, str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ=environ)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nport = 'x'", ["server.port", "'x'"]),
        ("[sever]\nport = 1", ["[sever]", "did you mean 'server'"]),
        ("[server]\nhosts = 1", ["'hosts'", "did you mean 'host'"]),
        ("server = 1", ["server = 1", "[server]"]),
        ("[server\n", ["not valid TOML", "line 1"]),
        ("[log]\nlevel = [1]", ["log.level", "expected one of"]),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, words: list[str]) -> None:
    file = write(tmp_path, bad=text) / "bad.toml"
    with pytest.raises(SettingsError) as caught:
        load(file=file)
    assert [word for word in [*words, str(file)] if word not in str(caught.value)] == []


def test_an_environment_without_a_file_lists_those_with_one() -> None:
    with pytest.raises(SettingsError, match=r"'prod': there is no prod\.toml .* expected one of development, production"):
        load([resources.config()], {"APP_ENV": "prod"})


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(file=tmp_path / "none.toml")


def test_flags_are_named_as_such() -> None:
    overrides: dict[str, dict[str, Any]] = {"server": {"port": -1}}
    with pytest.raises(SettingsError, match=r"the command line: server\.port = -1"):
        load(overrides=overrides)


def test_variables_of_other_programs_are_told_but_no_error() -> None:
    environ = {"APP_PORT": "tcp://10.0.0.1:80", "APP_SERVER_PORT": "1", "APP_ENV": "production", "HOME": "/"}
    assert load(environ=environ).server.port == 1
    assert unknown_variables(environ) == ["APP_PORT"]


def test_secrets_come_by_their_own_variables_and_are_never_shown() -> None:
    environ = {
        "APP_SECRET_TOKEN": "hunter22",
        "APP_SECRET_my_1": "x",
        "APP_SECRET_": "x",
        "APP_SECRET_1": "x",
        "APP_SECRETS_DIRECTORY": "/s",
    }
    loaded = load(environ=environ)
    assert dict(loaded.secret_variables) == {"TOKEN": "hunter22", "my_1": "x"}
    assert loaded.secrets.directory == "/s"
    assert unknown_variables(environ) == ["APP_SECRET_", "APP_SECRET_1"]
    assert "hunter22" not in repr(loaded)


def test_patterns_in_a_variable_stand_one_a_line_as_they_may_have_commas() -> None:
    assert load(environ={"APP_LOG_REDACT": "a{1,3}\n\n (?i)b "}).log.redact == ("a{1,3}", "(?i)b")


def test_a_running_server_adopts_what_it_can_and_keeps_the_rest() -> None:
    running = Settings()
    fresh = Settings(
        server=Server(port=1, deny=("10.0.0.0/8",)),
        database=Database(url="sqlite:///other.db", min_connections=9, max_connections=9),
        log=Log(level="debug", file="other.log"),
        task=Task(retention_days=7),
    )
    settings, changed, waiting = adopted(running, fresh)
    assert changed == ["server.deny", "task.retention_days", "log.level"]
    assert waiting == ["server.port", "database.url", "database.max_connections", "database.min_connections", "log.file"]
    assert settings == Settings(server=Server(deny=("10.0.0.0/8",)), log=Log(level="debug"), task=Task(retention_days=7))
    assert adopted(settings, fresh) == (settings, [], waiting)
    assert adopted(settings, running)[1:] == (changed, [])


def test_what_is_kept_and_what_is_new_have_to_go_together() -> None:
    running = Settings(server=Server(host="10.0.0.1"))
    with pytest.raises(SettingsError, match=r"auth\.mode = 'open'.*'10\.0\.0\.1'"):
        adopted(running, Settings(auth=Auth(mode="open")))


def test_the_text_of_settings_has_no_secrets() -> None:
    auth = Auth(mode="required", bootstrap_key="b" * 32, jwt_secret="j" * 32, jwt_issuer="me")
    server = Server(tls_certfile="c", tls_key_password="word")
    shown = repr(Settings(auth=auth, server=server, database=Database(url="postgresql://me:word@host/tasks")))
    assert not [secret for secret in ("bbb", "jjj", "word") if secret in shown.replace("password", "")]
    assert "auth=Auth(mode='required', bootstrap_key='***', " in shown
    assert "jwt_issuer='me'" in shown
    assert "url='postgresql://me:***@host/tasks'" in shown
    assert repr(Auth()).startswith("Auth(mode='auto', bootstrap_key='', ")


def test_the_secrets_among_the_settings() -> None:
    auth = Auth(bootstrap_key="b" * 32, jwt_secret=f"{'j' * 32}, {'k' * 32}")
    assert sorted(hidden(Settings(auth=auth, server=Server(tls_certfile="c", tls_key_password="p")))) == [
        "b" * 32, "j" * 32, "k" * 32, "p",
    ]  # fmt: skip


def test_sqlite_addresses() -> None:
    assert database_path("sqlite:///data/tasks.db") == Path("data/tasks.db")
    assert database_path("sqlite:////data/tasks.db") == Path("/data/tasks.db")
    assert load(environ={"APP_DATABASE_URL": "sqlite:////x/t.db"}).database.path == Path("/x/t.db")


@pytest.mark.parametrize(
    "url",
    ["", "data/tasks.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a?mode=ro", "sqlite:///a/", "mysql://h/d"],
)
def test_other_addresses_are_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///data/tasks\.db"):
        database_path(url)


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@db/tasks", "postgres://db/tasks?user=me&password=hunter2&port=1"])
def test_an_address_of_postgresql_is_taken_and_shown_without_its_password(url: str) -> None:
    database = load(environ={"APP_DATABASE_URL": url}).database
    assert (database.url, database.path) == (url, None)
    assert database.shown == url.replace("hunter2", "***")


def test_with_a_key_the_server_may_be_reached_from_elsewhere() -> None:
    key = "0123456789abcdef" * 4
    for host in ("0.0.0.0", "::", "10.0.0.1"):  # noqa: S104 - with a key it may
        loaded = load(environ={"APP_SERVER_HOST": host, "APP_AUTH_BOOTSTRAP_KEY": key})
        assert (loaded.server.host, loaded.auth.bootstrap_key) == (host, key)
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert load(environ={"APP_SERVER_HOST": host, "APP_AUTH_BOOTSTRAP_KEY": ""}).auth.bootstrap_key == ""


@pytest.mark.parametrize("key", ["hunter2", "hunter2" * 4 + "abc", "hunter2 " * 8, "hunter2" * 8 + "\n", "hunter2\xe9" * 8])
def test_a_key_that_is_easy_to_guess_or_no_header_is_refused_unshown(key: str) -> None:
    with pytest.raises(SettingsError, match=r"auth\.bootstrap_key = \(hidden\): expected at least 32") as caught:
        load(environ={"APP_AUTH_BOOTSTRAP_KEY": key})
    assert "hunter2" not in str(caught.value)
