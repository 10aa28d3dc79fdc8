"""What commands share: the way to the server, `--json`, and the types of their options."""

import functools
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import refusals

if TYPE_CHECKING:
    from rich.console import RenderableType

    from worker_client.client import Client

STATUSES = ("waiting", "scheduled", "blocked", "running", "parked", "completed", "failed", "cancelled")
PRIORITIES = ("low", "normal", "high", "urgent")
TASK_ID = click.IntRange(min=1)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def duration(text: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `1h30m`, `2d`."""
    given = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", given):
        return float(given)
    if not re.fullmatch(r"(\d+(\.\d+)?[smhdw])+", given):
        raise click.BadParameter(f"{text!r} is no duration; write it like 90, 90s, 10m, 1h30m or 2d")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhdw])", given))


def time(text: str) -> datetime:
    """`2030-01-31T18:00Z`, or without an offset in this machine's time."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"{text!r} is no time; write it like 2030-01-31T18:00 (local) or 2030-01-31T18:00Z"
        raise click.BadParameter(message) from None


def pair(text: str) -> tuple[str, str]:
    """Name and value of `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is no NAME=VALUE")
    return name, value


input_options = click.option(
    "--input",
    "inputs",
    metavar="NAME=VALUE",
    type=pair,
    multiple=True,
    help="A field of the input, over its default; JSON, or else text; may be repeated.",
)


def input_of(options: dict[str, Any]) -> dict[str, Any]:
    """What the `--input` options give, taken out."""
    return {name: json_or_text(value) for name, value in options.pop("inputs")}


def json_or_text(text: str) -> Any:
    """The value of a JSON document, or what is none as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def work_path(given: str) -> str:
    """A directory as the server knows it: absolute, symlinks resolved; another system's path stays as it is."""
    if os.name != "nt" and PureWindowsPath(given).drive:
        return given
    return os.path.realpath(Path(given).expanduser())


class Session:
    """A client for the server, and how this command answers."""

    def __init__(self, client: "Client", api_key: str | None, *, as_json: bool) -> None:
        self.client = client
        self.api_key = api_key
        self.as_json = as_json

    def put(self, document: Any, *shown: "RenderableType") -> None:
        """Print `document` as one line of JSON, or what people want to see of it."""
        from orchestrator.cli import output

        if self.as_json:
            output.emit(document)
        else:
            output.console().print(*shown, sep="\n")


def client_of(url: str | None, api_key: str | None, **options: Any) -> "Client":
    """A client that says soon that nobody answers, because somebody is waiting in front of it."""
    from worker_client.client import Client
    from worker_client.exchange import Retries

    return Client(url, api_key, retries=Retries(attempts=4, seconds=5.0), **options)


json_option = click.option("--json", "as_json", is_flag=True, envvar="ORCHESTRATOR_JSON", help="Print JSON, for programs.")
key_option = click.option(
    "--api-key",
    envvar="ORCHESTRATOR_API_KEY",
    help="Key for the server; the variable keeps it out of the process list.",
    show_envvar=True,
)
url_option = click.option(
    "--url",
    envvar="ORCHESTRATOR_URL",
    help="Address of the server.  [default: http://127.0.0.1:8080]",
    show_envvar=True,
)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--url`, `--api-key`, `--json`, and a Session as its first argument."""

    @functools.wraps(command)
    def run(*args: Any, url: str | None, api_key: str | None, as_json: bool, **options: Any) -> None:
        with refusals(as_json=as_json), client_of(url, api_key) as client:
            command(Session(client, api_key, as_json=as_json), *args, **options)

    for option in (json_option, key_option, url_option):
        run = option(run)
    return run
