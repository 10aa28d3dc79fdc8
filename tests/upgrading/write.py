"""Writes the databases of earlier releases anew, each by its own program.

    git worktree add /elsewhere/0.3.0 COMMIT
    python -m tests.upgrading.write 0.3.0 /elsewhere/0.3.0

starts the server of that checkout on an empty database of each kind, has it do all that the release could, kills it, and keeps
what it left: the file of SQLite, and a dump of PostgreSQL as SQL.
"""

import lzma
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import httpx

from tests import postgres
from tests.acceptance.programs import ADDRESS, environment
from tests.upgrading.history import shown, tell
from tests.upgrading.releases import FOLDER, KEYS_SINCE, variables

_KEY: Final = ("keys", "create", "--name", "upgrade", "--scope", "admin", "--secret", "TOKEN", "--json")


class Old:
    """The server of a checkout on a database."""

    def __init__(self, checkout: Path, database: str, release: str, folder: Path) -> None:
        self._line = [sys.executable, "-m", "orchestrator.cli"]
        self._place = {"cwd": folder, "env": environment(PYTHONPATH=str(checkout), **variables(release)), "text": True}
        self.key = ""
        if release >= KEYS_SINCE:
            made = subprocess.run(
                [*self._line, *_KEY, "--database", database], check=True, stdout=subprocess.PIPE, **self._place
            )
            self.key = httpx.Response(200, text=made.stdout).json()["key"]
        serve = [*self._line, "serve", "--port", "0", "--database", database]
        self._process = subprocess.Popen(serve, stdout=subprocess.PIPE, **self._place)
        assert self._process.stdout is not None
        found = ADDRESS.search(self._process.stdout.readline())
        assert found is not None
        self._client = httpx.Client(base_url=found[0].rstrip("/."), timeout=60)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """A request below /api/v1; what it answered."""
        token = query.pop("token", self.key)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent = {"json": body} if body is not None else {}
        answer = self._client.request(method, f"/api/v1{path}", params=query, headers=headers, **sent)
        assert answer.is_success, f"{method} {path} {body}: {answer.text}"
        return shown(answer.content)

    def kill(self) -> None:
        """As a power cut would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._client.close()


def write(release: str, checkout: Path, store: str, folder: Path) -> bytes:
    """What a release leaves behind in an empty database, compressed."""
    database = f"sqlite:///{folder / 'tasks.db'}" if store == "sqlite" else _empty(f"written_{os.getpid()}")
    old = Old(checkout, database, release, folder)
    try:
        tell(old.call, release)
    finally:
        old.kill()
    left = _file(folder / "tasks.db") if store == "sqlite" else _dump(database)
    return lzma.compress(left, preset=9 | lzma.PRESET_EXTREME)


def _empty(name: str) -> str:
    import psycopg  # noqa: PLC0415 - only for this kind

    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    return postgres.at(postgres.server(), name)


def _file(path: Path) -> bytes:
    from orchestrator.store.sqlite.engine import sqlite3  # noqa: PLC0415 - only for this kind

    connection = sqlite3.connect(str(path))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def _dump(url: str) -> bytes:
    line = [postgres.program("pg_dump"), "--no-owner", "--rows-per-insert=100", url]
    return subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    """Write the databases of one release."""
    release, checkout = sys.argv[1:]
    for store, name in (("sqlite", "sqlite.db.xz"), ("postgres", "postgres.sql.xz")):
        folder = Path(tempfile.mkdtemp(prefix="orchestrator-writing-"))
        try:
            left = write(release, Path(checkout).resolve(), store, folder)
        finally:
            shutil.rmtree(folder)
        (FOLDER / release).mkdir(exist_ok=True)
        (FOLDER / release / name).write_bytes(left)
        print(f"{release}/{name}: {len(left):,} bytes")
    postgres.stop_server()


if __name__ == "__main__":
    main()
