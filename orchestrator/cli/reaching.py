"""What commands that administer the server share: they reach it over HTTP, or by its database, which takes no key."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import rich_click as click
from click.core import ParameterSource

from orchestrator.cli.configured import config_option, database_option, load
from orchestrator.cli.exits import Exit, fail, refusals
from orchestrator.cli.options import Session, client_of, json_option, key_option, url_option

if TYPE_CHECKING:
    from ssl import SSLContext

    from orchestrator.settings import Settings
    from worker_client.client import Client
    from worker_client.contract.envelope import Page

T = TypeVar("T")
_LOOK_S: Final = 0.2
_LOOKS: Final = 25
QUIET: Final[dict[str, dict[str, Any]]] = {
    "server": {"host": "127.0.0.1"},
    "auth": {"mode": "auto", "jwt_public_key_file": "", "jwt_jwks_file": ""},
    "secrets": {"directory": ""},
    "log": {"level": "error", "file": ""},
}
"""Of the server's settings those that a command goes without: where it listens, what only its user can read, where it logs to."""


def administering(command: Callable[..., None], *, running: bool = False) -> Callable[..., None]:
    """Give a command `--url`, `--api-key`, `--database`, `--config`, `--json`, and a Session as its first argument.

    `running`: it is about a server that runs, and not about what the database holds.
    """

    @functools.wraps(command)
    @click.pass_context
    def run(
        ctx: click.Context,
        /,
        *args: Any,
        url: str | None,
        api_key: str | None,
        database: str | None,
        config: Path | None,
        as_json: bool,
        **options: Any,
    ) -> None:
        if database and url and ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--url and --database both say where; use one of them")
        with refusals(as_json=as_json), _reached(url, api_key, database, config, running=running) as client:
            command(Session(client, api_key, as_json=as_json), *args, **options)

    for option in (json_option, config_option, database_option, key_option, url_option):
        run = option(run)
    return run


def every(read: "Callable[..., Page[T]]", **filters: Any) -> Iterator[T]:
    """All items of a list, page by page."""
    cursor = None
    while True:
        page = read(limit=1000, cursor=cursor, **filters)
        yield from page.items
        if not (cursor := page.next_cursor):
            return


def _reached(
    url: str | None, api_key: str | None, database: str | None, config: Path | None, *, running: bool
) -> "AbstractContextManager[Client]":
    """By the database that is named; else at the address that is named; else by the database that `serve` would use here."""
    if url and not database:
        return client_of(url, api_key)
    settings = load(config, database={"url": database}, **QUIET)
    path = settings.database.path
    if path is not None and path.exists() and is_served(path):
        return _by_its_server(path, settings.server.tls_certfile)
    named = database or settings.database != type(settings.database)()
    if running or not (named or path is None or path.exists()):
        # No file is made where nobody asked for one.
        if named:
            fail(f"no server on this machine has {settings.database.shown}: name one, --url http://HOST:PORT", Exit.UNREACHABLE)
        return client_of(None, api_key)
    return _by_ourselves(settings)


@contextmanager
def _by_ourselves(settings: "Settings") -> Iterator["Client"]:
    from orchestrator.cli.server import problems

    with problems(settings):
        from orchestrator.cli.inside import inside

        with inside(settings) as client:
            yield client


def is_served(path: Path) -> bool:
    """Whether a server has the file; another command, or a server that starts, is waited for."""
    from filelock import FileLock, Timeout

    lock, left = FileLock(f"{path}.lock"), _left(path)
    for _ in range(_LOOKS):
        try:
            lock.acquire(timeout=0 if left.exists() else _LOOK_S)
        except Timeout:
            if left.exists():
                break
        else:
            lock.release()
            return False
    return True


def _left(path: Path) -> Path:
    """What a server leaves beside its file."""
    return path.with_name(f"{path.name}.serving")


class Beside(NamedTuple):
    """What a server leaves beside its file: where it answers, a key, and the certificate that it shows."""

    url: str
    key: str
    trusting: "SSLContext | None"


def beside(path: Path, certificate: str) -> Beside:
    """How to ask the server that has a file."""
    import msgspec

    try:
        told = msgspec.json.decode(_left(path).read_bytes())
    except OSError as error:
        fail(
            f"{path} is being served, and how to ask that server cannot be read ({error}): "
            "name its address and a key, --url and ORCHESTRATOR_API_KEY, or ask as the user that it runs as",
            Exit.CONFLICT,
        )
    own = certificate and told["address"].startswith("https")
    return Beside(told["address"], told["key"], _trusting(Path(certificate)) if own else None)


def _by_its_server(path: Path, certificate: str) -> "Client":
    """A client of the server that has a file, with the key that it leaves beside it for whoever may read that."""
    told = beside(path, certificate)
    if told.trusting is None:
        return client_of(told.url, told.key)
    import httpx

    return client_of(told.url, told.key, transport=httpx.HTTPTransport(verify=told.trusting))


def _trusting(certificate: Path) -> "SSLContext":
    """The server's own certificate and no other, whatever name it is for: it is asked by an address of this machine."""
    import ssl

    own, end, _ = certificate.read_text(encoding="ascii").partition("-----END CERTIFICATE-----")
    context = ssl.create_default_context(cadata=own + end)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
