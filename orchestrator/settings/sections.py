"""The settings by section, with their defaults; config/default.toml says what each means."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from orchestrator.settings.values import database_path, listed, without_password
from worker_client.contract.enums import Priority
from worker_client.contract.fields import Rate

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
ClientSeconds = Annotated[float, Meta(ge=1, le=3600)]
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
HeadStart = Annotated[int, Meta(ge=-31_536_000, le=31_536_000)]


class SettingsError(ValueError):
    """A setting cannot be used; the message names where it stands, the value and what is expected."""


class Section(Struct, frozen=True, kw_only=True):
    """A section; its secrets are not in its text, which may end up anywhere."""

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return f"{type(self).__name__}({', '.join(f'{name}={_shown(name, value)}' for name, value in shown)})"


def _shown(name: str, value: Any) -> str:
    if name in _HIDDEN:
        return "'***'" if value else "''"
    return repr(without_password(value) if name == "url" else value)


class Server(Section, frozen=True, kw_only=True):
    """Where the server listens, who may connect and whom in front of it it believes."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    root_path: Annotated[str, Meta(pattern=r"^(/[^/?#]+)*$(?!\n)")] = ""
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    tls_certfile: str = ""
    tls_keyfile: str = ""
    tls_key_password: str = ""
    public_url: str = ""
    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 0

    def __post_init__(self) -> None:
        if (self.tls_keyfile or self.tls_key_password) and not self.tls_certfile:
            raise ValueError("tls_keyfile or tls_key_password without a tls_certfile: expected the file of the certificate, too")


class Auth(Section, frozen=True, kw_only=True):
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
        return listed(self.jwt_secret)

    @property
    def knows_somebody(self) -> bool:
        """Whether anybody can show who they are, whatever the database says."""
        return bool(self.bootstrap_key or self.jwt_secret or self.jwt_public_key_file or self.jwt_jwks_file)


class Database(Section, frozen=True, kw_only=True):
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
    max_webhook_bytes: Positive = 1024 * 1024
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


class Tracing(Struct, frozen=True, kw_only=True):
    """Whether spans are sent, and where to."""

    enabled: bool = False
    endpoint: Annotated[str, Meta(pattern=r"^(https?://[^\s?#]+)?$(?!\n)")] = ""


class SecretFiles(Section, frozen=True, kw_only=True):
    """Where secrets of tasks are: a file each, by its name. Variables APP_SECRET_<NAME> go before them.

    `key`: what secrets of triggers and notifications are sealed with; of several, by commas, the first seals and all open.
    """

    key: str = ""
    directory: str = ""


class Scheduler(Struct, frozen=True, kw_only=True):
    """Whether this server fires schedules, and the zone of those that name none."""

    timezone: str = "UTC"
    enabled: bool = True


class GitHub(Section, frozen=True, kw_only=True):
    r"""What GitHub signs its deliveries with, and the App as which it is asked for what they omit.

    `app_private_key`: PEM, also with `\n` for its line ends, or the file that has it.
    """

    webhook_secret: str = ""
    app_id: str | int = ""
    app_private_key: str = ""
    api_url: str = "https://api.github.com"


class Email(Section, frozen=True, kw_only=True):
    """The mailbox that email triggers watch; `check_interval` in seconds, `port` 0: the usual one."""

    server: str = ""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    user: str = ""
    password: str = ""
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    tls_ca_file: str = ""
    allow_plaintext: bool = False
    folder: Annotated[str, Meta(min_length=1, max_length=255)] = "INBOX"
    idle: bool = True
    check_interval: Annotated[float, Meta(ge=1, le=1500)] = 60
    attachments_directory: str = "data/attachments"
    max_message_bytes: Annotated[int, Meta(ge=1024, le=1024 * 1024 * 1024)] = 25 * 1024 * 1024
    max_attachment_bytes: Count = 10 * 1024 * 1024
    max_attachments: Annotated[int, Meta(ge=0, le=1000)] = 20
    max_attachments_bytes: Count = 25 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.server and not (self.user and self.password):
            raise ValueError("server without a user and a password: expected all three")
        if not f"{self.server}{self.user}{self.password}{self.folder}".isprintable():
            raise ValueError("a character in server, user, password or folder cannot be shown: expected one line of text each")


class Notify(Section, frozen=True, kw_only=True):
    """How notifications go out. `port` 0: the usual one; `timeout` of a try and `retry_seconds` until the second in seconds.

    `allow_private`: networks that webhooks may be called in besides public addresses, or "all".
    """

    smtp_server: str = ""
    smtp_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_tls: Literal["implicit", "starttls", "none"] = "starttls"
    smtp_from: str = ""
    tls_ca_file: str = ""
    allow_private: tuple[str, ...] = ()
    timeout: Annotated[float, Meta(ge=1, le=300)] = 15
    tries: Annotated[int, Meta(ge=1, le=100)] = 12
    retry_seconds: Annotated[float, Meta(ge=0.1, le=3600)] = 5

    def __post_init__(self) -> None:
        if self.smtp_server and "@" not in self.smtp_from:
            raise ValueError("smtp_server without a smtp_from: expected the address that mails come from, too")
        if bool(self.smtp_user) != bool(self.smtp_password):
            raise ValueError("one of smtp_user and smtp_password without the other: expected both or none")
        if self.smtp_password and self.smtp_tls == "none" and self.smtp_server not in LOOPBACK:
            raise ValueError("smtp_tls none would send the password readable for all: expected implicit or starttls")
        if not f"{self.smtp_server}{self.smtp_user}{self.smtp_password}{self.smtp_from}".isprintable():
            raise ValueError("a character of the smtp_ keys cannot be shown: expected one line of text each")


class CommandFiles(Section, frozen=True, kw_only=True):
    """The folder of commands; empty: `commands` beside the database file."""

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
    tracing: Tracing = Tracing()
    secrets: SecretFiles = SecretFiles()
    scheduler: Scheduler = Scheduler()
    github: GitHub = GitHub()
    email: Email = Email()
    notify: Notify = Notify()
    commands: CommandFiles = CommandFiles()
    secret_variables: Hidden = field(default_factory=Hidden)

    @property
    def commands_directory(self) -> Path:
        """The folder of commands; without a database file `data/commands`."""
        if self.commands.directory:
            return Path(self.commands.directory).expanduser()
        return (Path("data") if self.database.path is None else self.database.path.parent) / "commands"


SECTIONS: Final[dict[str, type[Struct]]] = {
    "server": Server,
    "auth": Auth,
    "database": Database,
    "task": Task,
    "limits": Limits,
    "log": Log,
    "tracing": Tracing,
    "secrets": SecretFiles,
    "scheduler": Scheduler,
    "github": GitHub,
    "email": Email,
    "notify": Notify,
    "commands": CommandFiles,
}
FIELDS: Final = {section: {field.name: field.type for field in msgspec.structs.fields(of)} for section, of in SECTIONS.items()}
SECRETS: Final = {
    ("auth", "bootstrap_key"),
    ("auth", "jwt_secret"),
    ("server", "tls_key_password"),
    ("secrets", "key"),
    ("github", "webhook_secret"),
    ("github", "app_private_key"),
    ("email", "password"),
    ("notify", "smtp_password"),
}
"""Those that are never shown."""
_HIDDEN: Final = frozenset(key for _, key in SECRETS)
