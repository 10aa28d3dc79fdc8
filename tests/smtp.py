"""A mail server of a test's own, over real sockets: with or without TLS, with or without a password."""

import asyncio
import base64
import contextlib
import email
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import default

from msgspec import Struct, field


class Letter(Struct):
    """A mail as it came: from whom and to whom the envelope says, and whether it came over TLS."""

    sender: str = ""
    to: list[str] = field(default_factory=list)
    raw: bytes = b""
    encrypted: bool = False
    user: str = ""

    @property
    def message(self) -> EmailMessage:
        found = email.message_from_bytes(self.raw, policy=default)
        assert isinstance(found, EmailMessage)
        return found


class MailServer:
    """`implicit`, `starttls`: with TLS from the first byte, or when it is asked for; `password` None: nobody signs in."""

    def __init__(
        self, *, implicit: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, password: str | None = None
    ) -> None:
        self._implicit = implicit
        self._starttls = starttls
        self._password = password
        self.refused: set[str] = set()
        self.busy = 0
        self.letters: list[Letter] = []
        self.bell = asyncio.Event()
        self.port = 0

    async def until(self, count: int) -> None:
        """Wait for so many mails."""
        async with asyncio.timeout(30):
            while len(self.letters) < count:
                self.bell.clear()
                await self.bell.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        letter = Letter(encrypted=self._implicit is not None)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(b"220 here\r\n")
            while line := (await reader.readline()).decode().strip():
                verb, _, rest = line.partition(" ")
                if verb.upper() == "STARTTLS" and self._starttls is not None:
                    writer.write(b"220 go on\r\n")
                    await writer.drain()
                    await writer.start_tls(self._starttls)
                    letter.encrypted = True
                    continue
                if verb.upper() == "DATA":
                    writer.write(b"354 go on\r\n")
                    letter.raw = await reader.readuntil(b"\r\n.\r\n")
                    self.letters.append(letter)
                    self.bell.set()
                writer.write(self._said(verb.upper(), rest, letter).encode())
                if verb.upper() == "QUIT":
                    break
        writer.close()

    def _said(self, verb: str, rest: str, letter: Letter) -> str:
        answer = {"EHLO": self._ehlo, "AUTH": self._auth, "MAIL": self._mail, "RCPT": self._rcpt}.get(verb)
        return "250 ok\r\n" if answer is None else answer(rest, letter)

    def _ehlo(self, _rest: str, letter: Letter) -> str:
        offers = ["STARTTLS"] if self._starttls is not None and not letter.encrypted else []
        offers += ["AUTH PLAIN"] if self._password is not None else []
        return "250-here\r\n" + "".join(f"250-{offer}\r\n" for offer in offers) + "250 8BITMIME\r\n"

    def _auth(self, rest: str, letter: Letter) -> str:
        _, letter.user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
        return "235 welcome\r\n" if password == self._password else "535 5.7.8 not with this password\r\n"

    def _mail(self, rest: str, letter: Letter) -> str:
        if self._password is not None and not letter.user:
            return "530 5.7.0 sign in\r\n"
        if self.busy:
            self.busy -= 1
            return "451 4.3.0 later\r\n"
        letter.sender = rest
        return "250 ok\r\n"

    def _rcpt(self, rest: str, letter: Letter) -> str:
        address = rest.partition("<")[2].partition(">")[0]
        if address in self.refused:
            return "550 5.1.1 nobody of this name\r\n"
        letter.to.append(address)
        return "250 ok\r\n"


@contextlib.asynccontextmanager
async def mailing(**options: ssl.SSLContext | str | None) -> AsyncIterator[MailServer]:
    """A mail server that listens."""
    server = MailServer(**options)  # type: ignore[arg-type]
    implicit = options.get("implicit")
    listening = await asyncio.start_server(
        server.serve, "localhost", 0, ssl=implicit if isinstance(implicit, ssl.SSLContext) else None
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
