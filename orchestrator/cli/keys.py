"""`orchestrator keys`: who may ask, and for what."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import note
from orchestrator.cli.options import Session, duration, time, work_path
from orchestrator.cli.reaching import administering, every

if TYPE_CHECKING:
    from worker_client.contract.keys import Key

SCOPES = ("read", "submit", "work", "admin")
_BELOW = re.compile(r"(.+?)([/\\]\*\*)?", re.DOTALL)
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:|\*\*$")


def pattern(text: str) -> str:
    """What `--path` gives: an absolute directory stays as it is, a relative one is of this machine; `/**` stays behind it."""
    match = _BELOW.fullmatch(text)
    return text if match is None or _ABSOLUTE.match(text) else work_path(match[1]) + (match[2] or "")


def until(text: str) -> datetime:
    """A time, or a duration from now."""
    return time(text) if "-" in text else datetime.now(UTC) + timedelta(seconds=duration(text))


def unless(word: str, convert: Callable[[str], Any] = str) -> Callable[[str], Any]:
    """What an option gives; nothing, but not None, for `word`."""
    return lambda text: "" if text == word else convert(text)


which = click.argument("names", metavar="KEY...", nargs=-1, required=True)
one = click.argument("name", metavar="KEY")
secret_option = click.option(
    "--secret",
    "secrets",
    metavar="NAME",
    multiple=True,
    help="A secret that its tasks may ask for, `*` for all; may be repeated.",
)


@click.group("keys")
def keys() -> None:
    """Make, list, limit and revoke the keys that the server is asked with.

    KEY is the id of one, or its name. With --database, or when neither that nor a server is named, they are changed in the
    database itself, also while a server has it: that takes no key, but the right to write there.

    \b
        orchestrator keys create --name me --scope admin
        orchestrator keys create --name ci --scope submit --scope read --path '/srv/repos/**' --rate 600/m --expires 90d
    """  # noqa: D301 - click reads the mark itself


@keys.command()
@click.option("--name", required=True, help="What it is for; no two keys that you see have the same.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it may do: look, put tasks in, work on them, or everything; may be repeated.",
)
@click.option(
    "--path",
    "paths",
    metavar="DIR",
    type=pattern,
    multiple=True,
    help="The only directory it knows of, with /** behind it also all below; may be repeated.  [default: all]",
)
@secret_option
@click.option("--rate", help="Requests that it may make, such as 600/m.  [default: limits.rate of the server]")
@click.option(
    "--expires", "expires_at", type=until, help="After so long, 90d, or at a time, 2030-01-31T18:00Z.  [default: never]"
)
@administering
def create(session: Session, scopes: tuple[str, ...], paths: tuple[str, ...], secrets: tuple[str, ...], **options: Any) -> None:
    """Make a key, and print it: it is shown this once.

    Only the key goes to standard output: export ORCHESTRATOR_API_KEY="$(orchestrator keys create --name me --scope admin)"
    """
    from worker_client.contract.enums import Scope

    may = [Scope(scope) for scope in scopes]
    made = session.client.create_key(scopes=may, paths=list(paths) or None, secrets=list(secrets), **options)
    session.put(made, made.key)
    if not session.as_json:
        where = f" in {', '.join(made.paths)}" if made.paths else ""
        note(
            f"This is key {made.id}, {made.name}: {', '.join(made.scopes)}{where}. It is shown this once, so keep it now.\n"
            "Its clients take it from ORCHESTRATOR_API_KEY; others send the header Authorization: Bearer KEY."
        )


@keys.command("list")
@click.option("--revoked", is_flag=True, help="Also those that are revoked.")
@administering
def list_keys(session: Session, *, revoked: bool) -> None:
    """List the keys, oldest first."""
    from orchestrator.cli import doors

    found = list(every(session.client.keys, revoked=revoked))
    shown = doors.keys(found) if found else "no keys: orchestrator keys create --name me --scope admin"
    session.put({"items": found, "total": len(found)}, shown)


@keys.command()
@one
@administering
def show(session: Session, name: str) -> None:
    """Show all that is known of a key, but not the key."""
    from orchestrator.cli import doors

    key = _found(session, name, revoked=True)
    session.put(key, doors.facts(key))


@keys.command()
@one
@click.argument("new_name")
@administering
def rename(session: Session, name: str, new_name: str) -> None:
    """Give a key another name."""
    _put(session, session.client.update_key(_found(session, name).id, name=new_name))


@keys.command()
@one
@secret_option
@click.option("--no-secrets", is_flag=True, help="Its tasks may ask for none any more.")
@click.option("--rate", type=unless("default"), help="Such as 600/m; `default`: as the server has it.")
@click.option("--expires", "expires_at", type=unless("never", until), help="After so long, or at a time; `never`.")
@administering
def change(session: Session, name: str, secrets: tuple[str, ...], *, no_secrets: bool, **options: Any) -> None:
    """Change how much a key may ask for, until when, and which secrets; scopes and paths are for good."""
    given: dict[str, Any] = {field: value or None for field, value in options.items() if value is not None}
    if secrets and no_secrets:
        raise click.UsageError("--secret and --no-secrets contradict each other; use one of them")
    if secrets or no_secrets:
        given["secrets"] = list(secrets)
    if not given:
        raise click.UsageError("nothing to change: give --rate, --expires, --secret or --no-secrets")
    _put(session, session.client.update_key(_found(session, name).id, **given))


@keys.command()
@which
@administering
def disable(session: Session, names: tuple[str, ...]) -> None:
    """Have keys refused until they are enabled."""
    for name in names:
        _put(session, session.client.update_key(_found(session, name).id, disabled=True))


@keys.command()
@which
@administering
def enable(session: Session, names: tuple[str, ...]) -> None:
    """Have keys accepted again."""
    for name in names:
        _put(session, session.client.update_key(_found(session, name).id, disabled=False))


@keys.command()
@which
@administering
def revoke(session: Session, names: tuple[str, ...]) -> None:
    """End keys for good, with their sessions and tokens; on all servers, within a second."""
    for name in names:
        key = _found(session, name)
        session.client.revoke_key(key.id)
        session.put({"id": key.id, "name": key.name, "revoked": True}, f"key {key.id} ({key.name}) is revoked")


def _found(session: Session, name: str, *, revoked: bool = False) -> "Key":
    """The key with this id, or else the one with this name."""
    from worker_client.errors import Conflict, NotFound

    listed = list(every(session.client.keys, revoked=revoked))
    for field in ("id", "name"):
        found = [key for key in listed if getattr(key, field) == name]
        good = [key for key in found if key.revoked_at is None]
        if len(good) > 1:
            ids = ", ".join(key.id for key in good)
            raise Conflict(f"{len(good)} keys have the name {name[:40]!r}, for different directories: say which by its id, {ids}")
        if found:
            return (good or found)[0]
    raise NotFound(f"no key has the id or the name {name[:40]!r}; `orchestrator keys list` shows them")


def _put(session: Session, key: "Key") -> None:
    from orchestrator.cli import doors

    session.put(key, doors.key(key))
