"""Commands of the server itself: serve, migrate, openapi."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.configured import config_option, database_option, load, read, unknown_variables
from orchestrator.cli.exits import Exit, fail
from orchestrator.deferring import plain_tracebacks

if TYPE_CHECKING:
    from orchestrator.settings import Settings


@click.command()
@click.option("--host", help="Address of this machine to listen on.  [default: 127.0.0.1] [env var: APP_SERVER_HOST]")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 takes a free one.  [default: 8080] [env var: APP_SERVER_PORT]")
@database_option
@config_option
@click.option(
    "--with-worker",
    "directories",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also run a worker in this directory and below; may be repeated.",
)
@click.option(
    "--agent",
    "agents",
    metavar="NAME",
    multiple=True,
    help="An agent for that worker: claude, codex, ... or auto, all that are found on PATH; may be repeated.  [default: auto]",
)
def serve(
    host: str | None,
    port: int | None,
    database: str | None,
    config: Path | None,
    directories: tuple[Path, ...],
    agents: tuple[str, ...],
) -> None:
    """Start the server, until SIGTERM or SIGINT; at SIGHUP it reads its settings anew.

    Makes or migrates the database, prints one line with its address when it answers, and logs to standard error. A worker drains
    first when the server is told to stop: told once more, it gives back its tasks at once. It takes its other options from the
    environment, such as ORCHESTRATOR_CONCURRENCY.
    """
    if agents and not directories:
        raise click.UsageError("--agent is for the worker of --with-worker DIR; name a directory, too")
    flags: dict[str, dict[str, Any]] = {"server": {"host": host, "port": port}, "database": {"url": database}}
    settings = load(config, **flags)
    if directories and settings.server.tls_certfile:
        raise click.UsageError(
            "--with-worker can't be combined with [server] tls_certfile: the certificate is for another name than the address "
            "that such a worker uses. Start it by itself: orchestrator-worker run --dir DIR --url https://NAME:PORT"
        )
    plain_tracebacks()
    with problems(settings):
        from orchestrator import app
        from orchestrator.companion import Manned
        from orchestrator.telemetry import logs

        logs.setup(settings.log)
        _warn(settings)
        manned = Manned(directories=directories, agents=agents or ("auto",)) if directories else None
        app.serve(settings, read=lambda: read(config, **flags), manned=manned)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing: say what is to be done, and end with 8 if there is something.")
@database_option
@config_option
def migrate(database: str | None, config: Path | None, *, check: bool) -> None:
    """Make the database, or bring it up to date; `serve` does it, too.

    A database that a later version has brought up to date is refused with 4.
    """
    settings = load(config, database={"url": database})
    with problems(settings):
        from orchestrator.store import choice

        if check and (lacking := choice.pending(settings.database)):
            for name in lacking:
                click.echo(f"to be applied: {name}")
            sys.exit(Exit.DIFFERS)
        if check:
            click.echo(f"{settings.database.shown} is up to date")
            return
        for name in choice.migrate(settings.database):
            click.echo(f"applied {name}")
        click.echo(f"{settings.database.shown} is up to date")


@click.command()
def openapi() -> None:
    """Print the OpenAPI document of this version."""
    settings = load(None)
    with problems(settings):
        from orchestrator.app import compose
        from orchestrator.cli.output import emit
        from orchestrator.http.openapi import document

        emit(document(compose(settings)))


@contextmanager
def problems(settings: "Settings") -> Iterator[None]:
    """What keeps a server from starting, in words and with an exit code."""
    from orchestrator.http.certificate import CertificateError
    from orchestrator.http.server import AddressTakenError
    from orchestrator.settings import SettingsError
    from orchestrator.store import choice
    from orchestrator.store.protocol import DatabaseInUseError

    try:
        yield
    except Exception as error:
        # Whoever runs the app's lifespan in a task group wraps what it raises.
        cause = error
        while isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, AddressTakenError | DatabaseInUseError):
            fail(cause.message, Exit.CONFLICT)
        if isinstance(cause, CertificateError):
            fail(cause.message)
        if isinstance(cause, SettingsError):
            fail(str(cause), Exit.USAGE)
        if isinstance(cause, (OSError, *choice.database_errors())):
            fail(f"{settings.database.shown} cannot be used: {cause}")
        raise


def _warn(settings: "Settings") -> None:
    import structlog

    from orchestrator.deferring import installed
    from orchestrator.settings import SECTIONS
    from orchestrator.store.sqlite.engine import sqlite3, vulnerable

    log = structlog.get_logger()
    if unknown := unknown_variables():
        log.warning("variables that mean nothing here", variables=unknown, sections=sorted(SECTIONS))
    for key, value, library in (
        ("email.server", settings.email.server, "imap_tools"),
        ("notify.smtp_server", settings.notify.smtp_server, "aiosmtplib"),
    ):
        if value and not installed(library):
            log.warning(
                "a setting for mail, and its library is not installed",
                setting=key,
                value=value,
                remedy="pip install 'task-orchestrator[email]', and start it again",
            )
    if vulnerable():
        log.warning(
            "this SQLite can damage a database that two programs write at the same instant",
            version=sqlite3.sqlite_version,
            remedy="install pysqlite3, or SQLite 3.51.3 or later; write to the file with nothing but this server",
        )
