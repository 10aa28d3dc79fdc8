"""Which server a client of this machine means that names none: the one that runs, else one that is started for it."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from orchestrator.cli.configured import load
from orchestrator.cli.exits import Exit, fail
from orchestrator.cli.reaching import QUIET, beside, is_served

if TYPE_CHECKING:
    from ssl import SSLContext

    from orchestrator.settings import Settings

_STARTS_S: Final = 60
_LARGEST_LOG: Final = 10_000_000
_SHOWN_OF_LOG: Final = 2_000


class Address(NamedTuple):
    """Where a server answers, the key for it, and the certificate that it must show."""

    url: str
    key: str | None
    trusting: "SSLContext | None" = None


def found(url: str | None, api_key: str | None, database: str | None, config: Path | None) -> Address:
    """The server at `url`; else that of a database that is named; else that at the usual address; else one that is started.

    One that is started has the database that is named, or that `serve` would find here, or one of the user's own.
    """
    if url:
        return Address(url, api_key)
    settings = load(config, database={"url": database}, **QUIET)
    named = settings.database != type(settings.database)()
    usual = f"http://127.0.0.1:{settings.server.port}"
    if not named and _answers(usual):
        return Address(usual, api_key)
    from worker_client.state import state_folder

    folder = state_folder()
    where = settings.database.url
    if (path := settings.database.path) is not None:
        path = path.absolute() if named or path.exists() else folder / "server" / "tasks.db"
        where = f"sqlite:///{path}"
    from filelock import FileLock

    # Several may be started at once, one by each window: the first starts the server, the others find it.
    with FileLock(folder / "starting.lock", timeout=_STARTS_S):
        if path is None or not (path.exists() and is_served(path)):
            address = _started(settings, where, config, folder / "server.log")
            if path is None:
                return Address(address, api_key)
    told = beside(path, settings.server.tls_certfile)
    return Address(told.url, api_key or told.key, told.trusting)


def _answers(url: str) -> bool:
    """Whether a server of ours is at an address."""
    from worker_client import endpoints
    from worker_client.client import Client
    from worker_client.errors import OrchestratorError
    from worker_client.exchange import Retries

    with Client(url, retries=Retries(attempts=1), timeout=2.0) as client:
        try:
            client.send(endpoints.probe("live"))
        except OrchestratorError:
            return False
    return True


def _started(settings: "Settings", database: str, config: Path | None, log: Path) -> str:
    """Start a server that outlives this process; its address once it answers."""
    port = settings.server.port if _free(settings.server.port) else 0
    line = [sys.executable, "-m", "orchestrator.cli", "serve", "--host", "127.0.0.1", "--port", str(port), "--database", database]
    if config is not None:
        line += ["--config", str(config)]
    big = log.exists() and log.stat().st_size > _LARGEST_LOG
    with log.open("wb" if big else "ab") as written:
        begun = written.tell()
        process = subprocess.Popen(  # noqa: S603 - our own program
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=written, start_new_session=True
        )
    address = _first_line(process)
    if not address:
        told = log.read_bytes()[begun:][-_SHOWN_OF_LOG:].decode(errors="replace").strip()
        fail(f"no server runs, and none could be started ({told or 'it said nothing'}); its log is {log}", Exit.UNREACHABLE)
    return address


def _first_line(process: "subprocess.Popen[bytes]") -> str:
    """The address that a server prints once it answers; empty when it ends instead."""
    out: IO[bytes] | None = process.stdout
    if out is None:
        return ""
    with out:
        return out.readline().decode().rpartition(" ")[2].strip()


def _free(port: int) -> bool:
    with socket.socket() as trying:
        if os.name == "posix":
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return trying.connect_ex(("127.0.0.1", port)) != 0
