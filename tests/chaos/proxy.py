"""A way to PostgreSQL that breaks where a test wants it to."""

import socket
import threading
from contextlib import suppress
from typing import Final

_HEADER: Final = 5


class Proxy:
    """Passes connections on to a port. `cut` breaks the one that is there after so many messages of one side."""

    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def cut(self, side: str, after: int) -> None:
        """`side`: client or server, whose message number `after` (from now on) is not passed on any more; both sides hear it."""
        with self._lock:
            self._left = {side: after}

    def left(self) -> int | None:
        """No cut any more: how many messages would still have passed; None when it broke."""
        with self._lock:
            left = next(iter(self._left.values()), None)
            self._left = {}
            return left

    def close(self) -> None:
        for one in [self._listener, *self._sockets]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)

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
            self._start(self._pump, "client", client, server)
            self._start(self._pump, "server", server, client)

    def _pump(self, side: str, source: socket.socket, sink: socket.socket) -> None:
        held = b""
        with suppress(OSError):
            while chunk := source.recv(65536):
                if side not in self._left and not held:
                    sink.sendall(chunk)
                    continue
                held += chunk
                passed, cut = self._whole(side, held)
                sink.sendall(held[:passed])
                held = held[passed:]
                if cut:
                    break
        for one in (sink, source):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _whole(self, side: str, held: bytes) -> tuple[int, bool]:
        """How many bytes of whole messages may pass, and whether the connection is to break then."""
        at = 0
        with self._lock:
            while len(held) - at >= _HEADER and (end := at + 1 + int.from_bytes(held[at + 1 : at + _HEADER], "big")) <= len(held):
                if side in self._left:
                    if self._left[side] == 0:
                        self._left = {}
                        return at, True
                    self._left[side] -= 1
                at = end
        return at, False
