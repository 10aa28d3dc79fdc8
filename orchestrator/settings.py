"""Settings: files, then the environment, then flags; each key is checked where it comes from."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from orchestrator.networks import network
from orchestrator.patterns import any_of
from worker_client.contract.enums import Priority
from worker_client.contract.fields import Rate

PREFIX: Final = "APP_"
ENVIRONMENT: Final = "APP_ENV"
COMMAND_LINE: Final = "the command line"
GIVEN: Final = "APP_SECRET_"
SECRET_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
ClientSeconds = Annotated[float, Meta(ge=1, le=3600)]
HeadStart = Annotated[int, Meta(ge=-31_536_000, le=31_536_000)]


class SettingsError(ValueError):
    """A setting cannot be used; the message names where it stands, the value and what is expected."""


class Server(Struct, frozen=True, kw_only=True):
    """Where the server listens, who may connect and whom in front of it it believes."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    root_path: Annotated[str, Meta(pattern=r"^(/[^/?#]+)*$")] = ""
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    tls_certfile: str = ""
    tls_keyfile: str = ""
    tls_key_password: str = ""

    def __post_init__(self) -> None:
        if (self.tls_keyfile or self.tls_key_password) and not self.tls_certfile:
            raise ValueError("tls_keyfile or tls_key_password without a tls_certfile: expected the file of the certificate, too")


class Auth(Struct, frozen=True, kw_only=True):
    """Who may ask. `bootstrap_key`: whoever has it may do everything; `jwt_secret`: of several, by commas, the first signs.

    `session_seconds`: how long one stays signed in; `jwt_leeway` in seconds.
    """

    mode: Literal["auto", "open", "required"] = "auto"
    bootstrap_key: str = ""
    session_seconds: Annotated[int, Meta(ge=60, le=31_536_000)] = 43_200
    jwt_secret: str = ""
    jwt_public_key_file: str = ""
    jwt_jwks_file: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_leeway: Annotated[int, Meta(ge=0, le=3600)] = 30

    @property
    def jwt_secrets(self) -> list[str]:
        """The secrets that tokens are signed with."""
        return [secret.strip() for secret in self.jwt_secret.split(",") if secret.strip()]

    @property
    def knows_somebody(self) -> bool:
        """Whether anybody can show who they are, whatever the database says."""
        return bool(self.bootstrap_key or self.jwt_secret or self.jwt_public_key_file or self.jwt_jwks_file)


class Database(Struct, frozen=True, kw_only=True):
    """Where tasks are kept, and the connections that read; `busy_timeout` in seconds."""

    url: str = "sqlite:///data/tasks.db"
    max_connections: Annotated[int, Meta(ge=1, le=1000)] = 4
    min_connections: Annotated[int, Meta(ge=0, le=1000)] = 1
    busy_timeout: Annotated[float, Meta(ge=0, le=3600)] = 5
    enable_wal_mode: bool = True

    def __post_init__(self) -> None:
        if self.min_connections > self.max_connections:
            raise ValueError(f"min_connections {self.min_connections} is more than max_connections {self.max_connections}")

    @property
    def path(self) -> Path | None:
        """The file that `url` names; None for a database on PostgreSQL."""
        return database_path(self.url)

    @property
    def shown(self) -> str:
        """The file, or the address without a password."""
        return without_password(self.url) if self.path is None else str(self.path)


class Task(Struct, frozen=True, kw_only=True):
    """Defaults and limits of tasks; durations and head starts in seconds."""

    max_concurrent_tasks: Count = 0
    default_task_timeout: Annotated[float, Meta(ge=1, le=31_536_000)] = 3600
    max_task_retries: Annotated[int, Meta(ge=0, le=999)] = 3
    task_cleanup_interval: Annotated[float, Meta(ge=1)] = 3600
    retention_days: Annotated[float, Meta(ge=0)] = 0
    default_work_directory: Annotated[str, Meta(min_length=1)] = "/default"
    head_start_urgent: HeadStart = 86_400
    head_start_high: HeadStart = 3600
    head_start_normal: HeadStart = 0
    head_start_low: HeadStart = -3600

    def __post_init__(self) -> None:
        if not self.head_start_urgent >= self.head_start_high >= self.head_start_normal >= self.head_start_low:
            raise ValueError("a head start is longer than the one of a higher priority: urgent >= high >= normal >= low")

    @property
    def head_starts(self) -> dict[Priority, int]:
        """Milliseconds by priority, as the domain counts."""
        return {priority: 1000 * int(getattr(self, f"head_start_{priority}")) for priority in Priority}


class Limits(Struct, frozen=True, kw_only=True):
    """What the server refuses to take more of; durations in seconds."""

    rate: Rate = "1000/m"
    backlog: Positive = 10_000
    max_body_bytes: Positive = 16 * 1024 * 1024
    max_prompt_bytes: Positive = 1024 * 1024
    header_bytes: Annotated[int, Meta(ge=1024, le=1024 * 1024)] = 64 * 1024
    header_seconds: ClientSeconds = 10
    body_seconds: ClientSeconds = 60
    write_seconds: ClientSeconds = 30
    connections: Positive = 15_000
    polls_per_key: Positive = 10_000
    streams_per_key: Positive = 1000


class Log(Struct, frozen=True, kw_only=True):
    """What is logged, how and where to."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = "auto"
    file: str = ""
    file_max_bytes: Positive = 10 * 1024 * 1024
    file_backups: Count = 5
    redact: tuple[str, ...] = ()


class SecretFiles(Struct, frozen=True, kw_only=True):
    """Where secrets of tasks are: a file each, by its name. Variables APP_SECRET_<NAME> go before them."""

    directory: str = ""


class Hidden(dict[str, str]):
    """Values of which only the names are ever shown."""

    def __repr__(self) -> str:
        return f"Hidden({', '.join(sorted(self))})"


class Settings(Struct, frozen=True, kw_only=True):
    """All settings; `environment` is what APP_ENV says, `secret_variables` are the secrets of APP_SECRET_<NAME>, by name."""

    environment: str = "development"
    server: Server = Server()
    auth: Auth = Auth()
    database: Database = Database()
    task: Task = Task()
    limits: Limits = Limits()
    log: Log = Log()
    secrets: SecretFiles = SecretFiles()
    secret_variables: Hidden = field(default_factory=Hidden)


class _Value(NamedTuple):
    value: Any
    source: str


SECTIONS: Final[dict[str, type[Struct]]] = {
    "server": Server,
    "auth": Auth,
    "database": Database,
    "task": Task,
    "limits": Limits,
    "log": Log,
    "secrets": SecretFiles,
}
_SECRETS: Final = {("auth", "bootstrap_key"), ("auth", "jwt_secret"), ("server", "tls_key_password")}
_FIELDS: Final = {section: {field.name: field.type for field in msgspec.structs.fields(of)} for section, of in SECTIONS.items()}


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
    if settings.auth.mode == "open" and not is_loopback(settings.server.host):
        raise SettingsError(
            f"{merged['auth']['mode'].source}: auth.mode = 'open': everybody could do everything at server.host = "
            f"{settings.server.host!r}: expected auto or required, or a host of this machine alone, such as 127.0.0.1"
        )
    return settings


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """The APP_ variables that no section takes: worth a warning, but other programs may own them."""
    known = {name for name, _, _ in _variables(environ)} | {GIVEN + name for name in _secrets(environ)}
    return sorted(name for name in environ if name.startswith(PREFIX) and name != ENVIRONMENT and name not in known)


def database_path(url: str) -> Path | None:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`; None for `postgresql://host/name`.

    Raises ValueError for everything else, without repeating a password.
    """
    parts = urlsplit(url)
    if parts.scheme in {"postgresql", "postgres"}:
        if parts.netloc.count("@") > 1 or re.search(r"%(?![0-9A-Fa-f]{2})", url):
            raise ValueError(
                "expected postgresql://user:password@host/name, in which % is written as %25 and an @ of the password as %40"
            )
        return None
    rest = url.removeprefix("sqlite:///")
    if rest == url or not rest or rest.startswith(":memory:") or "?" in rest or rest.endswith("/") or "\0" in rest:
        raise ValueError(
            "expected the address of a file, sqlite:///data/tasks.db (relative) or sqlite:////data/tasks.db (absolute), "
            "or of a database, postgresql://user@host/name"
        )
    return Path(rest)


def without_password(url: str) -> str:
    """An address that may be shown."""
    return re.sub(r"(?<=://)([^:/@]*):[^/?#]*@", r"\1:***@", re.sub(r"(password=)[^&]*", r"\1***", url))


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
            if key not in _FIELDS[section]:
                raise SettingsError(f"{source}: there is no key {key!r} in [{section}]{_hint(key, _FIELDS[section])}")
            merged[section][key] = _Value(value, source)


def _build(section: str, given: Mapping[str, _Value]) -> Any:
    values = {key: _convert(section, key, *given[key]) for key in given}
    try:
        return SECTIONS[section](**values)
    except ValueError as error:
        sources = ", ".join(dict.fromkeys(value.source for value in given.values()))
        raise SettingsError(f"{sources}: section [{section}]: {error}") from None


def _convert(section: str, key: str, value: Any, source: str) -> Any:
    wanted = _FIELDS[section][key]
    if wanted == tuple[str, ...] and isinstance(value, str):
        # A regular expression may have commas in it.
        separator = "\n" if key == "redact" else ","
        value = [part.strip() for part in value.split(separator) if part.strip()]
    try:
        if get_origin(wanted) is Literal and value not in get_args(wanted):
            raise ValueError(f"expected one of {', '.join(get_args(wanted))}")  # noqa: TRY301 - one message for all
        converted = msgspec.convert(value, wanted, strict=False)
        if check := _CHECKS.get((section, key)):
            check(converted)
    except ValueError as error:
        shown = "(hidden)" if "@" in str(value) or (section, key) in _SECRETS else repr(value)
        raise SettingsError(f"{source}: {section}.{key} = {shown}: {error}") from None
    return converted


def _hint(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a server that listens there."""
    return host == "localhost" or ip_address(host).is_loopback


def _address(host: str) -> None:
    try:
        is_loopback(host)
    except ValueError:
        raise ValueError("expected an address of this machine, such as 127.0.0.1, ::1 or 0.0.0.0, or localhost") from None


def _key(key: str) -> None:
    if key and not re.fullmatch(r"[!-~]{32,}", key):
        raise ValueError("expected at least 32 visible ASCII characters; `openssl rand -hex 32` makes such a key")


def _jwt_secrets(secrets: str) -> None:
    if any(len(one.encode()) < 32 for one in Auth(jwt_secret=secrets).jwt_secrets):
        raise ValueError("expected at least 32 characters each; `openssl rand -hex 32` makes such a secret")


def _networks(texts: Iterable[str]) -> None:
    for text in texts:
        network(text)


def _wal(enabled: object) -> None:
    if not enabled:
        raise ValueError("expected true: only with a write-ahead log can one commit reach the disk while others read")


_CHECKS: Final[dict[tuple[str, str], Callable[[Any], object]]] = {
    ("server", "host"): _address,
    ("server", "trusted_proxies"): _networks,
    ("server", "allow"): _networks,
    ("server", "deny"): _networks,
    ("auth", "bootstrap_key"): _key,
    ("auth", "jwt_secret"): _jwt_secrets,
    ("database", "url"): database_path,
    ("database", "enable_wal_mode"): _wal,
    ("log", "redact"): any_of,
}
