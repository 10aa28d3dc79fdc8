"""What single values must be."""

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from orchestrator.networks import network
from orchestrator.patterns import any_of


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


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a server that listens there."""
    return host == "localhost" or ip_address(host).is_loopback


def listed(text: str, separator: str = ",") -> list[str]:
    """What a text lists."""
    return [part.strip() for part in text.split(separator) if part.strip()]


def _address(host: str) -> None:
    try:
        is_loopback(host)
    except ValueError:
        raise ValueError("expected an address of this machine, such as 127.0.0.1, ::1 or 0.0.0.0, or localhost") from None


def _key(key: str) -> None:
    if key and not re.fullmatch(r"[!-~]{32,}", key):
        raise ValueError("expected at least 32 visible ASCII characters; `openssl rand -hex 32` makes such a key")


def _jwt_secrets(secrets: str) -> None:
    if any(len(one.encode()) < 32 for one in listed(secrets)):
        raise ValueError("expected at least 32 characters each; `openssl rand -hex 32` makes such a secret")


def _sealing_keys(keys: str) -> None:
    if any(len(one) < 32 for one in listed(keys)):
        raise ValueError("expected at least 32 characters each; `openssl rand -hex 32` makes such a key")


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("expected the name of a time zone, such as UTC or Europe/Berlin") from None


def _url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected an address such as https://api.github.com or https://github.example.org/api/v3")


def _public_url(url: str) -> None:
    if url:
        _url(url)


def _allowed(texts: Iterable[str]) -> None:
    for text in texts:
        if text != "all":
            network(text)


def _app_id(app_id: str | int) -> None:
    if app_id and not re.fullmatch(r"[A-Za-z0-9.]{1,100}", str(app_id)):
        raise ValueError("expected the number of the App, or its client id")


def _networks(texts: Iterable[str]) -> None:
    for text in texts:
        network(text)


def _wal(enabled: object) -> None:
    if not enabled:
        raise ValueError("expected true: only with a write-ahead log can one commit reach the disk while others read")


CHECKS: Final[dict[tuple[str, str], Callable[[Any], object]]] = {
    ("server", "host"): _address,
    ("server", "trusted_proxies"): _networks,
    ("server", "allow"): _networks,
    ("server", "deny"): _networks,
    ("auth", "bootstrap_key"): _key,
    ("auth", "jwt_secret"): _jwt_secrets,
    ("server", "public_url"): _public_url,
    ("notify", "allow_private"): _allowed,
    ("database", "url"): database_path,
    ("database", "enable_wal_mode"): _wal,
    ("log", "redact"): any_of,
    ("secrets", "key"): _sealing_keys,
    ("scheduler", "timezone"): _zone,
    ("github", "api_url"): _url,
    ("github", "app_id"): _app_id,
}
