"""A mail server (pymap, on real sockets) in a thread, and a wire to it that breaks where a test wants it to."""

import asyncio
import socket
import threading
from argparse import Namespace
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, DictBackend
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials.flag import Flag
from pysasl.hashing import Cleartext

from orchestrator.mail.account import Account

T = TypeVar("T")
USER, PASSWORD = "agent", "a password"
SEEN = Flag(b"\\Seen")


def mail(
    subject: str = "Hello", *, sender: str = "Ann <ann@example.com>", body: str = "Do it.", number: int = 0, **more: str
) -> bytes:
    """A plain mail; `number` tells it from others, `more` are headers with _ for -."""
    headers = {"From": sender, "To": "agent@example.com", "Subject": subject, "Message-ID": f"<{number}@example.com>"}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n" + body.encode() + b"\r\n"


class Post:
    """A mail server with one account; closes with `close`."""

    def __init__(self, *, idle: bool = True) -> None:
        self._loop = asyncio.new_event_loop()
        self._idle = idle
        self._boxes = MailboxSet()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self) -> None:
        facts = {"host": "127.0.0.1", "port": 0, "debug": False, "cert": None, "key": None, "tls": False, "demo_data": False}
        facts |= {"demo_user": USER, "demo_password": PASSWORD, "passlib_cfg": None, "proxy_protocol": None}
        backend, config = await DictBackend.init(Namespace(**facts), hash_context=Cleartext(), disable_idle=not self._idle)
        config.apply_context()
        assert isinstance(config, Config)
        self._boxes = MailboxSet()
        config.set_cache[USER] = (self._boxes, FilterSet())
        answer = ProxyProtocolReader(config.proxy_protocol).get_callback(IMAPServer(backend.login, config))
        self._server = await asyncio.start_server(answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def account(self, port: int = 0, **facts: Any) -> Account:
        given = {"server": "127.0.0.1", "user": USER, "password": PASSWORD, "port": port or self.port, "tls": "none", **facts}
        return Account(**given)

    def add_folder(self, name: str) -> None:
        self._do(self._boxes.add_mailbox(name))

    def put(self, raw: bytes, folder: str = "INBOX", *, seen: bool = False, when: datetime | None = None) -> int:
        """A mail arrives; its UID."""

        async def append() -> int:
            box = await self._boxes.get_mailbox(folder)
            flags = frozenset({SEEN} if seen else ())
            return (await box.append(AppendMessage(raw, when or datetime.now(UTC), flags))).uid

        return self._do(append())

    def seen(self, folder: str = "INBOX") -> dict[int, bool]:
        """Which mails there are, and whether they are read."""
        return {uid: SEEN in message.permanent_flags for uid, message in self._box(folder)._messages.items()}

    def validity(self, folder: str = "INBOX") -> int:
        return self._box(folder).uid_validity

    def read_only(self, folder: str = "INBOX") -> None:
        self._box(folder)._readonly = True

    def take_away(self, uid: int, folder: str = "INBOX") -> None:
        self._do(self._box(folder).delete([uid]))

    def renumber(self, folder: str = "INBOX") -> None:
        """As when a mail server is set up anew: other UIDs, another UIDVALIDITY."""

        async def again() -> None:
            box = await self._boxes.get_mailbox(folder)
            kept = [(message, SEEN in message.permanent_flags) for message in box._messages.values()]
            box._messages.clear()
            box._uid_validity += 1
            box._max_uid = 0
            for message, seen in kept:
                assert message._content is not None
                raw, flags = bytes(message._content), frozenset({SEEN} if seen else ())
                await box.append(AppendMessage(raw, message.internal_date, flags))

        self._do(again())

    def _box(self, folder: str) -> MailboxData:
        return self._do(self._boxes.get_mailbox(folder))

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        with suppress(Exception):
            self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Wire:
    """Passes lines on to a port. `cut` breaks the connection that is there before a line of one side passes, once."""

    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._side, self._left = "", 0
        self._word = b""
        self.stalled = threading.Event()
        """Set when the line came that `stall` waits for."""
        self.passed = {"client": 0, "server": 0}
        self.listens = threading.Event()
        """Set while the client waits in IDLE."""
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self, side: str, after: int) -> None:
        """`side`: client or server, whose line number `after` (from now on, the first is 0) is not passed on any more."""
        with self._lock:
            self._side, self._left = side, after

    def stall(self, word: bytes) -> None:
        """Pass nothing more of what the client says from a line on that has a word in it."""
        self._word = word

    @property
    def whole(self) -> bool:
        """Whether the cut is still to come."""
        return bool(self._side)

    def hang_up(self) -> None:
        """Break whatever connections there are."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Only so does the accepting thread wake.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
        for one in self._sockets:
            one.close()

    def _start(self, work: Callable[..., None], *facts: object) -> None:
        thread = threading.Thread(target=work, args=facts, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            for side, source, sink in (("client", client, server), ("server", server, client)):
                self._start(self._pump, side, source, sink)

    def _pump(self, side: str, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), source.makefile("rb") as lines:
            for line in lines:
                if self._breaks(side):
                    break
                if side == "client" and self._word and self._word in line:
                    self.stalled.set()
                if side == "client" and self.stalled.is_set():
                    continue
                sink.sendall(line)
                if line.startswith((b"+ ", b"DONE")):
                    (self.listens.set if side == "server" else self.listens.clear)()
        self.listens.clear()
        for one in (sink, source):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _breaks(self, side: str) -> bool:
        with self._lock:
            self.passed[side] += 1
            if self._side != side:
                return False
            self._left -= 1
            if self._left >= 0:
                return False
            self._side = ""
            return True
