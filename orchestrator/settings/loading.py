"""Settings from files, then the environment, then flags; each key is checked where it comes from."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec

from orchestrator.settings.sections import FIELDS, SECRETS, SECTIONS, Hidden, Settings, SettingsError
from orchestrator.settings.values import CHECKS, is_loopback, listed
from worker_client.contract.fields import SECRET_NAME

PREFIX: Final = "APP_"
ENVIRONMENT: Final = "APP_ENV"
COMMAND_LINE: Final = "the command line"
GIVEN: Final = "APP_SECRET_"


class _Value(NamedTuple):
    value: Any
    source: str


def load(
    directories: Iterable[Path] = (),
    environ: Mapping[str, str] | None = None,
    *,
    file: Path | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """The settings from `default`, `<APP_ENV>` and `local` of each directory, `file`, `environ` and `overrides`; later ones win.

    `overrides` is {section: {key: value}} from flags; None is a flag that was not given. Raises SettingsError.
    """
    environ = environ or {}
    environment = environ.get(ENVIRONMENT) or "development"
    merged: dict[str, dict[str, _Value]] = {section: {} for section in SECTIONS}
    for path in _files(list(directories), environment):
        _merge(merged, _read(path), str(path))
    if file is not None:
        _merge(merged, _read(file), str(file))
    for name, section, key in _variables(environ):
        _merge(merged, {section: {key: environ[name]}}, name)
    given = {section: {k: v for k, v in keys.items() if v is not None} for section, keys in (overrides or {}).items()}
    _merge(merged, given, COMMAND_LINE)
    sections = {section: _build(section, merged[section]) for section in SECTIONS}
    settings = Settings(environment=environment, secret_variables=_secrets(environ), **sections)
    check(settings, merged["auth"]["mode"].source if "mode" in merged["auth"] else "")
    return settings


def check(settings: Settings, source: str = "") -> None:
    """Refuse what does not go together; `source` says where auth.mode stands. Raises SettingsError."""
    if settings.auth.mode == "open" and not is_loopback(settings.server.host):
        raise SettingsError(
            f"{source and f'{source}: '}auth.mode = 'open': everybody could do everything at server.host = "
            f"{settings.server.host!r}: expected auto or required, or a host of this machine alone, such as 127.0.0.1"
        )


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """The APP_ variables that no section takes: worth a warning, but other programs may own them."""
    known = {name for name, _, _ in _variables(environ)} | {GIVEN + name for name in _secrets(environ)}
    return sorted(name for name in environ if name.startswith(PREFIX) and name != ENVIRONMENT and name not in known)


def _files(directories: list[Path], environment: str) -> list[Path]:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", environment):
        raise SettingsError(f"{ENVIRONMENT} = {environment!r}: expected letters, digits, - and _, for example production")
    names = ("default", environment, "local")
    found = [path for name in names for directory in directories if (path := directory / f"{name}.toml").is_file()]
    if directories and not any(path.stem == environment for path in found):
        known = sorted({path.stem for directory in directories for path in directory.glob("*.toml")} - {"default", "local"})
        raise SettingsError(
            f"{ENVIRONMENT} = {environment!r}: there is no {environment}.toml in {', '.join(map(str, directories))}; "
            f"expected one of {', '.join(known) or 'the files there'}"
        )
    return list(dict.fromkeys(found))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    names = (name for name in environ if name.startswith(PREFIX) and name != ENVIRONMENT)
    split = ((name, *name.removeprefix(PREFIX).lower().partition("_")[::2]) for name in sorted(names))
    return [(name, section, key) for name, section, key in split if section in SECTIONS]


def _secrets(environ: Mapping[str, str]) -> Hidden:
    found = ((name.removeprefix(GIVEN), value) for name, value in environ.items() if name.startswith(GIVEN))
    secrets = Hidden({name: value for name, value in found if SECRET_NAME.fullmatch(name)})
    if broken := [name for name, value in secrets.items() if re.search(r"[\ud800-\udfff]", value)]:
        raise SettingsError(f"{GIVEN}{broken[0]} is not UTF-8: give it as Base64, for example")
    return secrets


def _merge(merged: dict[str, dict[str, _Value]], layer: Mapping[str, Any], source: str) -> None:
    for section, keys in layer.items():
        if section not in merged:
            raise SettingsError(f"{source}: there is no section [{section}]{_hint(section, SECTIONS)}")
        if not isinstance(keys, Mapping):
            raise SettingsError(f"{source}: {section} = {keys!r}: expected a section, [{section}] with keys below it")
        for key, value in keys.items():
            if key not in FIELDS[section]:
                raise SettingsError(f"{source}: there is no key {key!r} in [{section}]{_hint(key, FIELDS[section])}")
            merged[section][key] = _Value(value, source)


def _build(section: str, given: Mapping[str, _Value]) -> Any:
    values = {key: _convert(section, key, *given[key]) for key in given}
    try:
        return SECTIONS[section](**values)
    except ValueError as error:
        sources = ", ".join(dict.fromkeys(value.source for value in given.values()))
        raise SettingsError(f"{sources}: section [{section}]: {error}") from None


def _convert(section: str, key: str, value: Any, source: str) -> Any:
    wanted = FIELDS[section][key]
    if wanted == tuple[str, ...] and isinstance(value, str):
        # A regular expression may have commas in it.
        value = listed(value, "\n" if key == "redact" else ",")
    try:
        if get_origin(wanted) is Literal and value not in get_args(wanted):
            raise ValueError(f"expected one of {', '.join(get_args(wanted))}")  # noqa: TRY301 - one message for all
        converted = msgspec.convert(value, wanted, strict=False)
        if check := CHECKS.get((section, key)):
            check(converted)
    except ValueError as error:
        shown = "(hidden)" if "@" in str(value) or (section, key) in SECRETS else repr(value)
        raise SettingsError(f"{source}: {section}.{key} = {shown}: {error}") from None
    return converted


def _hint(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
