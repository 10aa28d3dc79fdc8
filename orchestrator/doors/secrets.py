"""Secrets that tasks ask for by name: known to this process, given to whoever claims the task, kept nowhere."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from stat import S_IROTH
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from orchestrator.domain.secrets import REFERENCE
from orchestrator.domain.task import TaskView
from orchestrator.settings import Hidden, SettingsError
from worker_client.contract.fields import SECRET_NAME

log = structlog.get_logger()

_LINE_END: Final = re.compile(r"\r?\n\Z")
_MOST_BYTES: Final = 64 * 1024
_encode = msgspec.json.Encoder().encode


class Secrets:
    """Values by name; of these only the names are ever shown."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.names = frozenset(values)
        self.values = Hidden(values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self.names))})"

    def differing(self, other: "Secrets") -> list[str]:
        """Names of those that are not the same in both."""
        return sorted(name for name in self.names | other.names if self.values.get(name) != other.values.get(name))

    def resolve(self, text: str, names: Collection[str], written: Callable[[str], str] = str) -> str:
        """A text with the secrets that it asks for, as far as `names` has them; what is in a value is taken as it is."""
        known = {name: written(self.values[name]) for name in names if name in self.values}
        return REFERENCE.sub(lambda found: known.get(found[1], found[0]), text)

    def delivered(self, view: TaskView) -> TaskView:
        """A task as whoever claims it gets it; given are only those that its head names, by which the claim was judged."""
        names = view.head.secrets.split()
        if not names:
            return view
        given = view.inputs
        return replace(
            view,
            inputs=replace(
                given,
                prompt=None if given.prompt is None else self.resolve(given.prompt, names),
                # In JSON as we write it two braces in a row stand in strings only, and nothing in a reference is ever escaped.
                spec=None if given.spec is None else self.resolve(given.spec, names, _inside_json),
                environment=self.resolve(given.environment, names, _inside_json),
            ),
        )


def _inside_json(value: str) -> str:
    return _encode(value)[1:-1].decode()


def load(directory: str, variables: Mapping[str, str]) -> Secrets:
    """The secrets in the files of a directory, and over them those in variables. Raises SettingsError."""
    values: dict[str, str] = {}
    exposed = []
    for path in _files(directory) if directory else ():
        values[path.name] = _read(path)
        if path.stat().st_mode & S_IROTH:
            exposed.append(path.name)
    if exposed:
        log.warning(
            "every user of this machine can read files of secrets",
            directory=directory,
            files=exposed,
            remedy="chmod o-r, and let the server's user own them",
        )
    return Secrets({**values, **variables})


def _files(directory: str) -> list[Path]:
    try:
        return sorted(path for path in Path(directory).iterdir() if SECRET_NAME.fullmatch(path.name) and path.is_file())
    except OSError as error:
        raise SettingsError(f"secrets.directory = {directory!r} cannot be read: {error}") from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        raise SettingsError(f"the secret {path} cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the secret {path} is not UTF-8: keep it there as Base64, for example") from None
    if len(raw) > _MOST_BYTES:
        raise SettingsError(f"the secret {path} has more than {_MOST_BYTES} bytes: give its task the path of such a file instead")
    return _LINE_END.sub("", text)
