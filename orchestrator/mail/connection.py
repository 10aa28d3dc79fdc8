"""A connection to a mail server: the one place that knows IMAP. It is loaded, with its library, when a mailbox is first read."""

import imaplib
import re
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, Final

import imap_tools
from msgspec import Struct

from orchestrator.mail.account import PORTS, Account, FolderError, MailError

TIMEOUT_S: Final = 30.0
"""Within which a server says something."""
HEADER_BYTES: Final = 256 * 1024
"""Of a longer header the rest is not looked at."""
_TOLD_MORE: Final = 10
"""How often in a row new mail may arrive while a search for it runs."""
_UID: Final = re.compile(rb"\bUID (\d+)")
_SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d+)")
_FLAGS: Final = re.compile(rb"\bFLAGS \(([^)]*)\)")
_BEGINS: Final = re.compile(rb"\d+ \(")


class Folder(Struct, frozen=True):
    """A folder as it was opened; UIDs up to `last` are given away, and mean the same mails while `validity` is the same."""

    name: str
    validity: int
    last: int
    writable: bool


class Head(Struct, frozen=True):
    """What is known of a mail before it is fetched; `size` in bytes."""

    uid: int
    header: bytes
    size: int
    seen: bool


class Connection:
    """Signed in at a mail server. Whatever breaks is a MailError, after which there is no use in it but to close it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        with _told():
            self._box = _connected(account)
        try:
            self._idles = self._signed_in(account)
        except BaseException:
            self.close()
            raise

    def _signed_in(self, account: Account) -> bool:
        """Sign in; whether the server then offers to tell of new mail."""
        with _told():
            client = self._box.client
            _keep_alive(client.sock)
            _sign_in(self._box, account)
            # Many a server tells what it can do only to those that it knows.
            typ, capabilities = client.capability()
            said = capabilities[-1] if typ == "OK" and capabilities else None
            return account.idle and b"IDLE" in (said or b"").upper().split()

    @property
    def idles(self) -> bool:
        """Whether the server tells of new mail by itself."""
        return self._idles

    def fileno(self) -> int:
        """Of its socket."""
        return self._box.client.sock.fileno()

    def open(self, name: str) -> Folder:
        """Open a folder, for writing if that is allowed."""
        with _told():
            client, writable = self._box.client, True
            try:
                self._box.folder.set(name)
            except imaplib.IMAP4.readonly:
                self._box.folder.set(name, readonly=True)
                writable = False
            validity, following = _number(client, "UIDVALIDITY"), _number(client, "UIDNEXT")
            if validity is None:
                raise FolderError(f"the folder {name!r} has no UIDVALIDITY, without which its mails cannot be told apart")
            last = max(self._search("UID *"), default=0) if following is None else following - 1
            return Folder(name, validity, last, writable)

    def after(self, uid: int) -> list[int]:
        """The mails that came after one, in their order."""
        with _told():
            for _ in range(_TOLD_MORE):
                self._box.client.response("EXISTS")
                # The newest mail is always in the answer, even when it is no newer.
                found = [new for new in self._search(f"UID {uid + 1}:*") if new > uid]
                # What was told of while the search ran is not told of again.
                if self._box.client.response("EXISTS")[1] in ([None], None):
                    break
            return sorted(found)

    def since(self, day: str, *, unread: bool) -> list[int]:
        """The mails that arrived on a day, such as 4-Mar-2026, or later; all of them, or those that are unread."""
        with _told():
            return sorted(self._search(f"UNSEEN SINCE {day}" if unread else f"SINCE {day}"))

    def head(self, uid: int) -> Head | None:
        """What is known of a mail beforehand; None when it is gone."""
        found = self._fetch(uid, f"(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER]<0.{HEADER_BYTES}>)")
        if found is None:
            return None
        facts, header = found
        size, flags = _SIZE.search(facts), _FLAGS.search(facts)
        seen = flags is not None and b"\\seen" in flags[1].lower().split()
        return Head(uid, header, int(size[1]) if size else 0, seen)

    def body(self, uid: int, limit: int) -> bytes | None:
        """A mail, up to some bytes of it; None when it is gone."""
        found = self._fetch(uid, f"(UID BODY.PEEK[]<0.{limit}>)")
        return None if found is None else found[1]

    def mark(self, uid: int) -> bool:
        """Mark a mail as read; whether the server did."""
        with _told():
            typ, _ = self._box.client.uid("STORE", str(uid), "+FLAGS", r"(\Seen)")
            return bool(typ == "OK")

    def idle(self, seconds: float, waker: socket.socket) -> None:
        """Wait until the server tells of something, `waker` can be read, or the time is over."""
        with _told():
            client = self._box.client
            tag = client._command("IDLE")  # noqa: SLF001 - imap-tools' own start is confused by news that come before the answer
            news = False
            while client._get_response() is not None:  # noqa: SLF001 - as above
                if client.tagged_commands[tag]:
                    raise MailError("the server refuses IDLE though it offers it: set email.idle to false")
                news = True
            if not news and not _buffered(client):
                select.select([client.sock, waker], [], [], seconds)
            client.send(b"DONE\r\n")
            self._box.consume_until_tagged_response(tag)

    def hang_up(self) -> None:
        """End it at once, from whichever thread."""
        with suppress(OSError):
            self._box.client.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take leave."""
        with suppress(Exception):
            self._box.client.sock.settimeout(1)
            self._box.logout()
        with suppress(Exception):
            self._box.client.shutdown()

    def _search(self, criteria: str) -> list[int]:
        return [int(uid) for uid in self._box.uids(criteria, charset=None)]

    def _fetch(self, uid: int, parts: str) -> tuple[bytes, bytes] | None:
        with _told():
            typ, answer = self._box.client.uid("FETCH", str(uid), parts)
            if typ != "OK":
                raise MailError("the server does not give a mail that it has")
            for facts, content in _messages(answer):
                # A server may tell in between of other mails, and of the flags of this one.
                if b"BODY[" in facts and (found := _UID.search(facts)) and int(found[1]) == uid:
                    return facts, content
            return None


def _connected(account: Account) -> imap_tools.BaseMailBox:
    port = account.port or PORTS[account.tls]
    try:
        context = ssl.create_default_context(cafile=account.ca_file or None)
    except OSError as error:
        why = error.strerror or "it has no certificate"
        raise MailError(f"email.tls_ca_file = {account.ca_file!r} cannot be read: {why}") from None
    if account.tls == "implicit":
        return imap_tools.MailBox(account.server, port, TIMEOUT_S, ssl_context=context)
    box = imap_tools.MailBoxUnencrypted(account.server, port, TIMEOUT_S)
    try:
        _secure(box.client, account, context)
    except BaseException:
        box.client.shutdown()
        raise
    return box


def _secure(client: imaplib.IMAP4, account: Account, context: ssl.SSLContext) -> None:
    """Have nobody on the way read what is said, before the password is."""
    if account.tls == "starttls":
        if "STARTTLS" not in client.capabilities:
            raise MailError("the server offers no STARTTLS: expected implicit as email.tls, or another email.port")
        client.starttls(context)
    elif not account.plaintext and not ip_address(client.sock.getpeername()[0]).is_loopback:
        raise MailError("email.tls = 'none' would send the password readable for all: expected implicit or starttls")


def _sign_in(box: imap_tools.BaseMailBox, account: Account) -> None:
    try:
        sign_in = box.login if (account.user + account.password).isascii() else box.login_utf8
        sign_in(account.user, account.password, initial_folder=None)
    except imaplib.IMAP4.abort:
        raise
    except imap_tools.MailboxLoginError as error:
        raise MailError(f"the server refuses email.user with email.password: {_answer(error)}") from None
    except imaplib.IMAP4.error:
        raise MailError("the server refuses email.user with email.password") from None


def _keep_alive(sock: socket.socket) -> None:
    """Notice a server that is gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _buffered(client: Any) -> bool:
    """Whether something is read from the socket already, and so will not wake who waits for that."""
    if hasattr(client, "_readbuf"):
        return bool(client._readbuf) or _pending(client.sock)  # noqa: SLF001 - newer Pythons buffer by themselves
    client.sock.settimeout(0)
    try:
        return bool(client.file.peek(1))
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    finally:
        client.sock.settimeout(TIMEOUT_S)


def _pending(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _number(client: imaplib.IMAP4, code: str) -> int | None:
    found = client.response(code)[1]
    said = found[-1] if found else None
    return int(said) if said is not None else None


def _messages(answer: list[Any]) -> Iterator[tuple[bytes, bytes]]:
    """What an answer says of each mail, and the content that it brings."""
    facts, content = b"", b""
    for item in answer:
        said, brought = item if isinstance(item, tuple) else (item or b"", None)
        if _BEGINS.match(said) and facts:
            yield facts, content
            facts, content = b"", b""
        facts += b" " + said
        content = content if brought is None else brought
    if facts:
        yield facts, content


@contextmanager
def _told() -> Iterator[None]:
    """Whatever goes wrong as a MailError, without anything that may be of a mail."""
    try:
        yield
    except MailError:
        raise
    except imap_tools.MailboxFolderSelectError as error:
        raise FolderError(f"the server does not open this folder: {_answer(error)}") from None
    except ssl.SSLCertVerificationError as error:
        raise MailError(f"the server's certificate is not trusted: {error.verify_message}; see email.tls_ca_file") from None
    except socket.gaierror as error:
        raise MailError(f"email.server is not known: {error.strerror}") from None
    except OSError as error:
        raise MailError(f"the connection failed: {error.strerror or type(error).__name__}") from None
    except imaplib.IMAP4.abort:
        raise MailError("the connection broke") from None
    except Exception as error:  # noqa: BLE001 - a broken answer can be broken in any way
        raise MailError(f"the server said what is not understood ({type(error).__name__})") from None


def _answer(error: Any) -> str:
    """What the server said to a refused command."""
    said = error.command_result[1]
    text = b" ".join(part for part in said if isinstance(part, bytes)).decode("utf-8", "replace")
    # Some end with how long it took, which makes an old refusal look new.
    return re.sub(r" *\([0-9. +]+secs\)\.?$", "", "".join(char for char in text if char.isprintable()))[:200]
