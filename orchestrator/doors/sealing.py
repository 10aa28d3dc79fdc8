"""Secrets that are stored because the server itself needs them: sealed with a key that is not in the database."""

import base64
import importlib
import os
import re
import secrets as chance
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.domain.principal import Principal
from orchestrator.doors.secrets import Secrets
from orchestrator.settings.values import listed
from worker_client.contract.fields import SECRET_NAME
from worker_client.errors import Conflict, Forbidden, ValidationFailed

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

SEALED: Final = "sealed:"
MASK: Final = "***"
_REFERENCE: Final = re.compile(r"\{\{ *secrets\.(" + SECRET_NAME.pattern + r") *\}\}")
_NO_KEY: Final = (
    "there is no key to seal a secret with: set APP_SECRETS_KEY (`openssl rand -hex 32` makes one, the same for all servers of "
    "this database), or name a secret of the server instead, as in {{ secrets.NAME }}"
)


class SealedError(Conflict):
    """What is stored sealed cannot be opened, or a secret that it names is not there."""


class Sealing:
    """Seals what is sent in clear, and gives back what is sealed, or what a reference to a secret of the server stands for.

    `key`: of several, by commas, the first seals and all open. Without one, a database file has its key in a file beside it,
    which is made when it is first needed.
    """

    def __init__(self) -> None:
        self._key = ""
        self._file: Path | None = None
        self._secrets = Secrets({})
        self._fernet: MultiFernet | None = None

    def configure(self, key: str, database: Path | None, secrets: Secrets) -> None:
        """Go by these from now on."""
        self._key, self._secrets, self._fernet = key, secrets, None
        self._file = None if database is None else database.with_name(f"{database.name}.key")

    def kept(self, sent: str, by: Principal, field: str) -> str:
        """A secret as it is stored: sealed, unless it is a reference. Raises ValidationFailed, Forbidden; neither shows it."""
        if found := _REFERENCE.fullmatch(sent):
            if not by.may_use(found[1]):
                raise Forbidden(
                    f"this key may not use the secret {found[1]}: have it allowed, or ask with another key", field=field
                )
            if found[1] not in self._secrets.names:
                raise ValidationFailed(f"there is no secret {found[1]}: correct the name, or have it provided", field=field)
            return sent
        if "{{" in sent or sent.startswith(SEALED) or sent == MASK:
            raise ValidationFailed(
                f"`{field}` is not a secret: send it in clear, to be stored sealed, or as {{{{ secrets.NAME }}}}", field=field
            )
        fernet = self._opened(make=True)
        if fernet is None:
            raise ValidationFailed(f"`{field}` cannot be kept: {_NO_KEY}", field=field)
        return SEALED + fernet.encrypt(sent.encode()).decode()

    def revealed(self, kept: str) -> str:
        """The secret that is stored so. Raises SealedError."""
        if found := _REFERENCE.fullmatch(kept):
            if found[1] not in self._secrets.names:
                raise SealedError(f"the secret {found[1]} is not there any more: provide it to the server")
            return self._secrets.values[found[1]]
        fernet = self._opened(make=False)
        if fernet is not None:
            with suppress(ValueError, importlib.import_module("cryptography.fernet").InvalidToken):
                return fernet.decrypt(kept.removeprefix(SEALED)).decode()
        raise SealedError(
            "a secret is stored sealed with another key: bring that back (setting secrets.key), or send the secret again"
        )

    def stands_for(self, kept: str, secret: str) -> bool:
        """Whether it is this secret that is sealed."""
        try:
            return kept.startswith(SEALED) and self.revealed(kept) == secret
        except SealedError:
            return False

    def _opened(self, *, make: bool) -> "MultiFernet | None":
        if self._fernet is None:
            keys = listed(self._key) or self._filed(make=make)
            if not keys:
                return None
            library = importlib.import_module("cryptography.fernet")
            derived = [base64.urlsafe_b64encode(sha256(key.encode()).digest()) for key in keys]
            self._fernet = library.MultiFernet([library.Fernet(key) for key in derived])
        return self._fernet

    def _filed(self, *, make: bool) -> list[str]:
        if self._file is None:
            return []
        if make and not self._file.exists():
            _write(self._file, chance.token_hex(32))
        try:
            return listed(self._file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return []


def _write(path: Path, text: str) -> None:
    """Make a file that only its owner reads; whole, and on disk before anything is sealed with it. One that is there stays."""
    fresh = path.with_name(f"{path.name}.{chance.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
    if os.name == "posix":
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def names(kept: str) -> str | None:
    """The secret of the server that a stored one refers to, if it does."""
    found = _REFERENCE.fullmatch(kept)
    return None if found is None else found[1]


def shown(kept: str) -> str:
    """A stored secret as it may be seen: a reference as it is."""
    return kept if not kept or _REFERENCE.fullmatch(kept) else MASK
