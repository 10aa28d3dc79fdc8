"""Writes the databases of earlier releases anew, each by its own program.

    git worktree add /elsewhere/0.3.0 COMMIT
    python -m tests.upgrading.write 0.3.0 /elsewhere/0.3.0

starts the server of that checkout on an empty database of each kind, has it do all that the release could, kills it, and keeps
what it left: the file of SQLite, and a dump of PostgreSQL as SQL.
"""

import json
import lzma
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from orchestrator.store.sqlite.engine import sqlite3
from tests import postgres
from tests.acceptance.programs import ADDRESS, end, orchestrator, started
from tests.upgrading.history import shown, tell
from tests.upgrading.releases import FILES, FOLDER, KEYS, KEYS_SINCE, variables

_KEY: Final = ("keys", "create", "--name", "upgrade", "--scope", "admin", "--secret", "TOKEN", "--json")


def write(release: str, checkout: Path, store: str, folder: Path) -> tuple[bytes, str]:
    """What a release leaves behind in an empty database, compressed, and the key with which everything was done."""
    database = f"sqlite:///{folder / 'tasks.db'}" if store == "sqlite" else _empty(f"written_{os.getpid()}")
    settings = {**variables(release), "PYTHONPATH": str(checkout), "APP_DATABASE_URL": database}
    key = ""
    if release >= KEYS_SINCE:
        key = json.loads(orchestrator(*_KEY, cwd=folder, **settings).stdout)["key"]
    with started("serve", "--port", "0", cwd=folder, variables=settings, stderr=None) as process:
        assert process.stdout is not None
        found = ADDRESS.search(process.stdout.readline())
        assert found is not None
        with httpx.Client(base_url=found[0].rstrip("."), timeout=60) as client:
            tell(Told(client, key), release)
        end(process, signal.SIGKILL)
    left = _file(folder / "tasks.db") if store == "sqlite" else _dump(database)
    return lzma.compress(left, preset=9 | lzma.PRESET_EXTREME), key


class Told:
    """A server that is told what to do, with a key or without."""

    def __init__(self, client: httpx.Client, key: str) -> None:
        self._client = client
        self._key = key

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """A request below /api/v1; what it answered."""
        token = query.pop("token", self._key)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent = {"json": body} if body is not None else {}
        answer = self._client.request(method, f"/api/v1{path}", params=query, headers=headers, **sent)
        assert answer.is_success, f"{method} {path} {body}: {answer.text}"
        return shown(answer.content)


def _empty(name: str) -> str:
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    return postgres.at(postgres.server(), name)


def _file(path: Path) -> bytes:
    with closing(sqlite3.connect(str(path))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def _dump(url: str) -> bytes:
    line = [postgres.program("pg_dump"), "--no-owner", "--rows-per-insert=100", url]
    return subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    """Write the databases of one release."""
    release, checkout = sys.argv[1:]
    (FOLDER / release).mkdir(exist_ok=True)
    keys = {}
    for store, name in FILES.items():
        with tempfile.TemporaryDirectory(prefix="orchestrator-writing-") as folder:
            left, keys[store] = write(release, Path(checkout).resolve(), store, Path(folder))
        (FOLDER / release / name).write_bytes(left)
        sys.stdout.write(f"{release}/{name}: {len(left):,} bytes\n")
    (FOLDER / release / KEYS).write_text(json.dumps(keys) + "\n")
    postgres.stop_server()


if __name__ == "__main__":
    main()
